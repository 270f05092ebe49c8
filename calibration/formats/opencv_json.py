"""Reads a plain list of OpenCV cameras: `name, size, K, dist`, and `R, t` with x_camera = R X + t."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fewview.calibration.formats.axes import opencv_camera, view_of
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View


def read_opencv_json(path: Path) -> dict[str, Camera | View]:
    """Cameras by name, in the world of the file; without `R` and `t` the lens alone.

    Raises:
        InputError: not of this kind.
    """
    try:
        out: dict[str, Camera | View] = {}
        for entry in json.loads(read_text(path)):
            name, (width, height) = str(entry["name"]), entry["size"]
            camera = opencv_camera(name, (int(width), int(height)), np.array(entry["K"]), np.array(entry["dist"]))
            posed = "R" in entry and "t" in entry
            out[name] = view_of(name, camera, np.array(entry["R"]), np.array(entry["t"])) if posed else camera
    except MALFORMED as error:
        raise InputError(f"{path} is not a readable list of cameras: {error}.", "Export it again.") from error
    return out
