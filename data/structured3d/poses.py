"""`camera_pose.txt`: eye, view direction, up and half angles of view."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import check_rigid
from fewview.recon.io.documents import read_text
from fewview.recon.scene import Camera, View


def read_pose(path: Path, name: str, size: tuple[int, int]) -> View:
    """Read a camera. World: metres, z up. The principal point is the middle of the image.

    Args:
        size: width and height of the image.

    Raises:
        InputError: the file is missing or does not hold twelve numbers that make a camera.
    """
    try:
        numbers = [float(word) for word in read_text(path, "Name a folder in Structured3D's format.").split()]
        if len(numbers) != 12 or not all(map(math.isfinite, numbers)):
            raise ValueError("not twelve finite numbers")
        eye, towards, up = np.array(numbers[:9]).reshape(3, 3)
        xfov, yfov = numbers[9:11]
        right = np.cross(towards, up)
        if not (np.linalg.norm(right) > 0 and 0 < xfov < math.pi / 2 and 0 < yfov < math.pi / 2):
            raise ValueError("directions or angles make no camera")
        T = np.eye(4)
        forward, right = towards / np.linalg.norm(towards), right / np.linalg.norm(right)
        T[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
        T[:3, 3] = eye / 1000
        check_rigid(T)
    except ValueError as error:
        raise InputError(f"{path} is not a camera_pose.txt: {error}.", "Download or write it again.") from error
    width, height = size
    fx, fy = width / 2 / math.tan(xfov), height / 2 / math.tan(yfov)
    return View(name, Camera(width, height, fx, fy, width / 2, height / 2), T)


def write_pose(path: Path, view: View) -> None:
    """Write a camera (world in metres).

    Raises:
        ValueError: the format cannot express the camera: distortion, or a principal point off the middle.
    """
    camera, T = view.camera, view.T_world_camera
    centred = (camera.cx, camera.cy) == (camera.width / 2, camera.height / 2)
    if not camera.is_pinhole or not centred:
        raise ValueError(f"{view.name}: camera_pose.txt holds only pinholes with the principal point in the middle")
    fovs = math.atan(camera.width / 2 / camera.fx), math.atan(camera.height / 2 / camera.fy)
    numbers = [*(T[:3, 3] * 1000), *T[:3, 2], *-T[:3, 1], *fovs]
    path.write_text(" ".join(repr(float(number)) for number in numbers) + " 1\n", encoding="utf-8")
