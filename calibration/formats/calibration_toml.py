"""Calibrations as TOML: Pose2Sim's `Calib.toml`, and anipose's, which FreeMoCap shares.

Both store OpenCV's K, distortion, Rodrigues rotation and translation from world to camera. The world that is written
has z up. Pose2Sim knows k1, k2, p1, p2 only.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from fewview.calibration.formats.axes import opencv_camera, opencv_matrix, turned, view_of
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import Z_UP
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View


def write_pose2sim(path: Path, views: Sequence[View]) -> None:
    """Write a `Calib.toml`.

    Raises:
        ValueError: a camera has k3: refit it first (`fewview.calibration.formats.refit`).
    """
    tables = []
    for view in views:
        if len(view.camera.distortion) > 4:
            raise ValueError(f"{view.name} has k3, which Calib.toml cannot hold")
        tables.append((view.name, {**_entries(view, 4), "fisheye": False}))
    _write(path, tables)


def write_anipose(path: Path, views: Sequence[View]) -> None:
    """Write a calibration.toml for anipose, aniposelib and FreeMoCap."""
    _write(path, [(f"cam_{i}", _entries(view, 5)) for i, view in enumerate(views)])


def read_calibration_toml(path: Path) -> dict[str, Camera | View]:
    """Read either; a camera without rotation and translation comes back as its lens alone.

    Raises:
        InputError: not of this kind, or a fisheye lens.
    """
    try:
        document = tomllib.loads(read_text(path))
        cameras = [_camera(key, table) for key, table in document.items() if key not in ("metadata", "capture_volume")]
    except KeyError as error:
        raise InputError(f"{path} lacks {error}.", "Each camera needs size, matrix and distortions.") from error
    except MALFORMED as error:
        raise InputError(f"{path} is not a readable calibration: {error}.", "Export it again.") from error
    return {name: camera for name, camera in cameras}


def _entries(view: View, coefficients: int) -> dict[str, Any]:
    T = turned(view, Z_UP).T_camera_world
    return {
        "name": view.name,
        "size": [view.camera.width, view.camera.height],
        "matrix": opencv_matrix(view.camera).tolist(),
        "distortions": [*view.camera.distortion, 0.0, 0.0, 0.0, 0.0, 0.0][:coefficients],
        "rotation": Rotation.from_matrix(T[:3, :3]).as_rotvec().tolist(),
        "translation": T[:3, 3].tolist(),
    }


def _camera(key: str, table: Mapping[str, Any]) -> tuple[str, Camera | View]:
    name = str(table.get("name", key))
    if table.get("fisheye", False):
        raise ValueError(f"{name} is a fisheye lens, which fewview does not model")
    size = (round(float(table["size"][0])), round(float(table["size"][1])))
    camera = opencv_camera(name, size, np.array(table["matrix"]), np.array(table["distortions"]))
    if "rotation" not in table or "translation" not in table:
        return name, camera
    R = Rotation.from_rotvec(np.array(table["rotation"], np.float64)).as_matrix()
    return name, turned(view_of(name, camera, R, np.array(table["translation"])), Z_UP.T)


def _write(path: Path, tables: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    lines = []
    for key, entries in tables:
        lines.append(f"[{_text(key)}]")
        lines += [f"{name} = {_text(value)}" for name, value in entries.items()]
        lines.append("")
    lines += ["[metadata]", "adjusted = false", "error = 0.0", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _text(value: Any) -> str:
    """As TOML; its strings, numbers and arrays are JSON's, except that it forbids DEL."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
