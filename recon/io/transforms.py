"""Reads and writes nerfstudio's `transforms.json`: OpenGL camera axes (x right, y up, z backward)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import UNDISTORT, canonical_distortion, canonical_fisheye, check_intrinsics, check_rigid
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""Between OpenCV and OpenGL camera axes, either way."""
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")
_FISHEYE = ("k1", "k2", "k3", "k4")
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
"""Of nerfstudio's camera models, those that k1 to k3, p1 and p2 describe whole."""
SizeOf = Callable[[str], tuple[int, int] | None]
"""Width and height in pixels of the upright photo that a frame's name means; None where there is no such photo."""


def write_transforms(path: Path, views: list[View]) -> None:
    """Write the views with intrinsics per frame; `file_path` is the view's name.

    The world frame is unchanged: only the cameras' axes are turned.
    """
    model = "OPENCV_FISHEYE" if views and all(view.camera.fisheye for view in views) else "OPENCV"
    document = {"camera_model": model, "frames": [_frame(view) for view in views]}
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_transforms(path: Path, size_of: SizeOf | None = None) -> list[View]:
    """Read views with intrinsics that are shared, per frame, or given as `camera_angle_x`.

    A missing principal point is the image's centre; matrices may lack their last row, as Record3D writes them.

    Args:
        size_of: tells the sizes that the file lacks (those of NeRF's synthetic scenes); None: they must be there.

    Returns:
        Views named by `file_path` (as written), in the order of the file; without those that lack a size which
        `size_of` does not tell either.

    Raises:
        InputError: the file is missing, is not of this kind, lacks sizes or focal lengths, or has a camera
            model other than pinhole, OpenCV and OpenCV's fisheye.
    """
    try:
        document = json.loads(read_text(path))
        frames = [{**document, **frame} for frame in document["frames"]]
        for frame in frames:
            _check_model(frame, path)
        sized = frames if size_of is None else [whole for frame in frames if (whole := _sized(frame, size_of))]
        return [_view(frame) for frame in sized]
    except KeyError as error:
        raise InputError(f"{path} lacks {error}.", "Give it at the top or in every frame.") from error
    except MALFORMED as error:
        raise InputError(f"{path} is not a readable transforms.json: {error}.", "Export it again.") from error


def _frame(view: View) -> dict[str, Any]:
    camera = view.camera
    frame: dict[str, Any] = {
        "file_path": view.name,
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "transform_matrix": (view.T_world_camera @ _FLIP).tolist(),
    }
    if camera.fisheye:
        terms = (*camera.distortion, 0.0, 0.0, 0.0, 0.0)[:4]
        return frame | {"camera_model": "OPENCV_FISHEYE"} | dict(zip(_FISHEYE, terms, strict=True))
    # A pinhole says so by zeros: nerfstudio's readers want the keys.
    coefficients = dict.fromkeys(_DISTORTION[:4], 0.0) | dict(zip(_DISTORTION, camera.distortion, strict=False))
    return frame | coefficients


def _is_fisheye(frame: dict[str, Any]) -> bool:
    """Whether k1 to k4 are those of OpenCV's fisheye model; instant-ngp names it by a flag."""
    return frame.get("camera_model") == "OPENCV_FISHEYE" or bool(frame.get("is_fisheye"))


def _check_model(frame: dict[str, Any], path: Path) -> None:
    """Refuse a lens that would be read as another one.

    Raises:
        InputError: panoramic or rational: with what to do instead.
    """
    model = str(frame.get("camera_model", "OPENCV"))
    if _is_fisheye(frame):
        return
    if model in _MODELS:
        if not any(float(frame.get(name, 0)) for name in ("k4", "k5", "k6")):
            return
        model = "rational OPENCV (k4 to k6)"
    raise InputError(f"The cameras in {path} are of the model {model}, which fewview cannot read.", UNDISTORT)


def _sized(frame: dict[str, Any], size_of: SizeOf) -> dict[str, Any] | None:
    """The frame with its size, which the photo tells where the file does not."""
    if "w" in frame and "h" in frame:
        return frame
    size = size_of(str(PurePosixPath(frame["file_path"])))
    return None if size is None else {**frame, "w": size[0], "h": size[1]}


def _view(frame: dict[str, Any]) -> View:
    """From a frame's entries over the file's."""
    fisheye = _is_fisheye(frame)
    width, height = int(frame["w"]), int(frame["h"])
    if "fl_x" in frame or "camera_angle_x" not in frame:
        fx = float(frame["fl_x"])
    else:
        fx = width / 2 / math.tan(float(frame["camera_angle_x"]) / 2)
    camera = Camera(
        width=width,
        height=height,
        fx=fx,
        fy=float(frame.get("fl_y", fx)),
        cx=float(frame.get("cx", width / 2)),
        cy=float(frame.get("cy", height / 2)),
        distortion=(
            canonical_fisheye([float(frame.get(name, 0)) for name in _FISHEYE])
            if fisheye
            else canonical_distortion([float(frame.get(name, 0)) for name in _DISTORTION])
        ),
        fisheye=fisheye,
    )
    check_intrinsics(camera, frame["file_path"])
    T = np.array(frame["transform_matrix"], np.float64)
    if T.shape == (3, 4):
        T = np.vstack([T, [0.0, 0.0, 0.0, 1.0]])
    check_rigid(T, tolerance=1e-3)
    return View(str(PurePosixPath(frame["file_path"])), camera, T @ _FLIP)
