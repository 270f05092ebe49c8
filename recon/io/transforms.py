"""Reads and writes nerfstudio's `transforms.json`: OpenGL camera axes (x right, y up, z backward)."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.io.cameras import canonical_distortion, canonical_fisheye, check_intrinsics, check_rigid
from recon.io.documents import MALFORMED, read_text
from recon.scene import Camera, View

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""Between OpenCV and OpenGL camera axes, either way."""
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")
_FISHEYE = ("k1", "k2", "k3", "k4")
_STRAIGHT_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")


def write_transforms(path: Path, views: list[View]) -> None:
    """Write the views with intrinsics per frame; `file_path` is the view's name.

    The world frame is unchanged: only the cameras' axes are turned.
    """
    model = "OPENCV_FISHEYE" if views and all(view.camera.fisheye for view in views) else "OPENCV"
    document = {"camera_model": model, "frames": [_frame(view) for view in views]}
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_transforms(path: Path) -> list[View]:
    """Read views with intrinsics that are shared, per frame, or given as `camera_angle_x`.

    A missing principal point is the image's centre.

    Returns:
        Views named by `file_path` (as written), in the order of the file.

    Raises:
        InputError: the file is missing, is not of this kind, lacks sizes or focal lengths, or has a camera
            model other than pinhole, OpenCV and OpenCV's fisheye.
    """
    try:
        document = json.loads(read_text(path))
        return [_view({**document, **frame}) for frame in document["frames"]]
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


def _view(frame: dict[str, Any]) -> View:
    """From a frame's entries over the file's."""
    model = frame.get("camera_model", "OPENCV")
    if model not in (*_STRAIGHT_MODELS, "OPENCV_FISHEYE"):
        raise ValueError(f"camera_model {model} is none of OPENCV, OPENCV_FISHEYE and PINHOLE")
    # instant-ngp's files name the model by a flag.
    fisheye = model == "OPENCV_FISHEYE" or bool(frame.get("is_fisheye", False))
    width, height = int(frame["w"]), int(frame["h"])
    if "fl_x" in frame or "camera_angle_x" not in frame:
        fx = float(frame["fl_x"])
    else:
        fx = width / 2 / math.tan(float(frame["camera_angle_x"]) / 2)
    if not fisheye and any(float(frame.get(name, 0)) for name in ("k4", "k5", "k6")):
        raise ValueError("distortion beyond k3 is not supported")
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
    check_rigid(T, tolerance=1e-3)
    return View(str(PurePosixPath(frame["file_path"])), camera, T @ _FLIP)
