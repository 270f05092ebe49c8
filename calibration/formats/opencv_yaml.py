"""OpenCV YAML as EasyMocap has it: `intri.yml` with K_ and dist_, `extri.yml` with R_ (vector), Rot_ (matrix), T_."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from fewview.calibration.formats.axes import opencv_camera, opencv_matrix, turned, view_of
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import Z_UP
from fewview.recon.io.documents import MALFORMED, finite, read_text
from fewview.recon.io.inputs import Names
from fewview.recon.scene import Camera, View


def write_opencv_yaml(folder: Path, views: Sequence[View]) -> None:
    """Write `intri.yml` and `extri.yml`; the world has z up. Names keep what OpenCV allows in a key."""
    keys = Names()
    intrinsics, extrinsics, names = [], [], []
    for view in views:
        key = keys.claim(view.name)[1]
        names.append(f'   - "{key}"')
        distortion = np.array([*view.camera.distortion, 0.0, 0.0, 0.0, 0.0, 0.0][:5])
        intrinsics += [_matrix(f"K_{key}", opencv_matrix(view.camera)), _matrix(f"dist_{key}", distortion[None])]
        intrinsics += [f"H_{key}: {view.camera.height}", f"W_{key}: {view.camera.width}"]
        T = turned(view, Z_UP).T_camera_world
        rotation = Rotation.from_matrix(T[:3, :3]).as_rotvec()
        extrinsics += [_matrix(f"R_{key}", rotation[:, None]), _matrix(f"Rot_{key}", T[:3, :3])]
        extrinsics += [_matrix(f"T_{key}", T[:3, 3:])]
    for name, lines in (("intri.yml", intrinsics), ("extri.yml", extrinsics)):
        (folder / name).write_text("\n".join(["%YAML:1.0", "---", "names:", *names, *lines, ""]), encoding="utf-8")


def read_opencv_yaml(path: Path) -> dict[str, Camera | View]:
    """Read `intri.yml`, and `extri.yml` where it lies beside it; lenses alone otherwise.

    Args:
        path: either file, or their folder.

    Raises:
        InputError: not of this kind, or without image sizes (H_ and W_, which old EasyMocap did not write).
    """
    folder = path if path.is_dir() else path.parent
    intrinsics = _document(folder / "intri.yml")
    extrinsics = _document(folder / "extri.yml") if (folder / "extri.yml").is_file() else None
    out: dict[str, Camera | View] = {}
    try:
        if "names" not in intrinsics:
            raise ValueError("it lacks names")
        for name in map(str, intrinsics["names"]):
            size = tuple(round(finite(intrinsics.get(f"{side}_{name}", 0))) for side in "WH")
            if min(size) < 1:
                raise ValueError(f"it does not say the image size of {name} (W_{name}, H_{name})")
            K, distortion = _array(intrinsics, f"K_{name}"), _array(intrinsics, f"dist_{name}")
            camera = opencv_camera(name, (size[0], size[1]), K, distortion)
            out[name] = camera
            if extrinsics is not None:
                view = view_of(name, camera, _array(extrinsics, f"Rot_{name}"), _array(extrinsics, f"T_{name}"))
                out[name] = turned(view, Z_UP.T)
    except MALFORMED as error:
        raise InputError(
            f"{folder / 'intri.yml'} is not a readable calibration: {error}.", "Export it again."
        ) from error
    return out


def _matrix(name: str, values: np.ndarray) -> str:
    """As OpenCV writes it, but with every digit."""
    data = ", ".join(repr(float(value)) for value in values.ravel())
    rows, columns = values.shape
    return f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {data} ]"


def _document(path: Path) -> dict[str, Any]:
    """The file's entries; numbers stay text. OpenCV's own reader overwrites memory where a file is damaged."""
    try:
        text = re.sub(r"\A%YAML:.*", "", read_text(path, "Name the folder with intri.yml and extri.yml."))
        document = yaml.load(text, Loader=yaml.BaseLoader)  # which makes text, lists and dictionaries alone
    except (yaml.YAMLError, *MALFORMED) as error:
        raise InputError(f"{path} is not an OpenCV YAML file: {error}.", "Export it again.") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} is not an OpenCV YAML file: it has no names.", "Export it again.")
    return document


def _array(document: dict[str, Any], name: str) -> np.ndarray:
    """A matrix as OpenCV writes it: rows, columns and its values, row by row."""
    if name not in document:
        raise ValueError(f"it lacks {name}")
    entry = document[name]
    values = np.array([finite(value) for value in entry["data"]])
    return values.reshape(int(entry["rows"]), int(entry["cols"]))
