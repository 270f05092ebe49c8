"""Reads Qualisys calibrations (`.qca.txt`, XML inside)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from fewview.calibration.formats.axes import opencv_camera, turned, view_of
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import Z_UP
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View

_SUBPIXELS = 64
"""Qualisys counts focal lengths and centres in these."""


def read_qualisys(path: Path) -> dict[str, Camera | View]:
    """Cameras by serial, in metres.

    Raises:
        InputError: not of this kind, or a camera that was turned on its side in software.
    """
    try:
        root = ElementTree.fromstring(read_text(path, errors="replace"))
        cameras = [_camera(element) for element in root.iter("camera")]
    except (ElementTree.ParseError, *MALFORMED) as error:
        raise InputError(f"{path} is not a readable Qualisys calibration: {error}.", "Export it again.") from error
    if not cameras:
        raise InputError(f"{path} holds no cameras.", "Export the calibration from Qualisys Track Manager again.")
    return {view.name: view for view in cameras}


def _camera(element: ElementTree.Element) -> View:
    name = element.get("serial") or ""
    if float(element.get("viewrotation", "0")):
        raise ValueError(f"{name} has a view rotation, which is not supported")
    image, pose, lens = element.find("fov_video"), element.find("transform"), element.find("intrinsic")
    if image is None or pose is None or lens is None:
        raise ValueError(f"{name} lacks fov_video, transform or intrinsic")

    def number(entry: ElementTree.Element, key: str) -> float:
        return float(entry.get(key))  # type: ignore[arg-type]  # absent: the TypeError is caught above

    left, top = number(image, "left"), number(image, "top")
    size = (round(number(image, "right") - left) + 1, round(number(image, "bottom") - top) + 1)
    K = np.eye(3)
    K[0, 0], K[1, 1] = number(lens, "focalLengthU") / _SUBPIXELS, number(lens, "focalLengthV") / _SUBPIXELS
    K[0, 2] = number(lens, "centerPointU") / _SUBPIXELS - left
    K[1, 2] = number(lens, "centerPointV") / _SUBPIXELS - top
    distortion = [number(lens, f"radialDistortion{i}") for i in (1, 2)]
    distortion += [number(lens, f"tangentalDistortion{i}") for i in (1, 2)]  # spelt so by Qualisys
    distortion += [number(lens, "radialDistortion3")]
    camera = opencv_camera(name, size, K, np.array(distortion))
    # Qualisys's cameras look along -z with y up; the world has z up.
    R = np.diag([1.0, -1.0, -1.0]) @ [[number(pose, f"r{i}{j}") for j in (1, 2, 3)] for i in (1, 2, 3)]
    center_m = np.array([number(pose, axis) for axis in "xyz"]) / 1000
    return turned(view_of(name, camera, R, -R @ center_m), Z_UP.T)
