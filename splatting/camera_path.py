"""Reads camera paths from JSON files, ours and nerfstudio's (docs/camera-paths.md)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import check_rigid
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenGL camera axes to ours."""


@dataclass(frozen=True)
class CameraPath:
    """One camera a frame."""

    Ts_world_camera: Float[np.ndarray, "F 4 4"]
    """Camera to world, OpenCV axes."""
    fov_deg: tuple[float | None, ...]
    """Vertical field of view of each frame, or None where the file leaves it open."""
    size: tuple[int, int] | None
    """Width and height in pixels, where the file says so."""
    fps: int | None
    """Frames a second, where the file says so."""


def read_camera_path(path: Path) -> CameraPath:
    """Read a camera path; a file with `camera_path` is nerfstudio's, one with `frames` is ours.

    Raises:
        InputError: the file is missing, is of neither kind, or holds something that no camera can be.
    """
    if not path.is_file():
        raise InputError(f"There is no camera path {path}.", "Name a JSON file.")
    try:
        document = json.loads(read_text(path))
        if not isinstance(document, dict) or not {"frames", "camera_path"} & document.keys():
            raise ValueError("it has neither `frames` nor `camera_path`")
        return _ours(document) if "frames" in document else _nerfstudio(document)
    except KeyError as error:
        raise InputError(f"A frame of the camera path {path} lacks {error}.", "See docs/camera-paths.md.") from error
    except MALFORMED as error:
        raise InputError(f"{path} is not a camera path: {error}.", "See docs/camera-paths.md.") from error


def with_fov(camera: Camera, fov_deg: float | None) -> Camera:
    """`camera`, looking with another vertical field of view."""
    if fov_deg is None:
        return camera
    focal = camera.height / 2 / math.tan(math.radians(fov_deg) / 2)
    return Camera(camera.width, camera.height, focal, focal, camera.width / 2, camera.height / 2)


def _ours(document: dict[str, Any]) -> CameraPath:
    poses = [_pose(frame["world_from_camera"]) for frame in document["frames"]]
    fov = [frame.get("fov_deg") for frame in document["frames"]]
    return _path(poses, fov, document.get("width"), document.get("height"), document.get("fps"))


def _nerfstudio(document: dict[str, Any]) -> CameraPath:
    kind = document.get("camera_type", "perspective")
    if kind != "perspective":
        raise ValueError(f"its camera_type is {kind}, and only perspective is supported")
    frames = document["camera_path"]
    poses = [_pose(frame["camera_to_world"], tolerance=1e-3) @ _FLIP for frame in frames]
    size = document.get("render_width"), document.get("render_height")
    return _path(poses, [frame["fov"] for frame in frames], *size, document.get("fps"))


def _path(poses: list[np.ndarray], fov: list[Any], width: Any, height: Any, fps: Any) -> CameraPath:
    if not poses:
        raise ValueError("it has no frames")
    angles = tuple(None if value is None else float(value) for value in fov)
    if not all(angle is None or 0 < angle < 180 for angle in angles):
        raise ValueError("a field of view is not between 0 and 180 degrees")
    if fps is not None and not 1 <= float(fps) <= 1000:
        raise ValueError(f"{fps} frames a second are not between 1 and 1000")
    size = None if width is None or height is None else (int(width), int(height))
    return CameraPath(np.stack(poses), angles, size, None if fps is None else round(float(fps)))


def _pose(values: Any, tolerance: float = 1e-5) -> Float[np.ndarray, "4 4"]:
    T = np.array(values, np.float64)
    if T.size != 16:
        raise ValueError("a pose is not a 4x4 matrix")
    T = T.reshape(4, 4)
    check_rigid(T, tolerance)
    return T
