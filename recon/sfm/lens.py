"""Photos whose intrinsics are known are mapped as if an ideal pinhole with centred axis had taken them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float

from recon.scene import Camera


def ideal(camera: Camera) -> Camera:
    """The pinhole of the same size and mean focal length, its axis through the centre."""
    focal = math.sqrt(camera.fx * camera.fy)
    return Camera(camera.width, camera.height, focal, focal, camera.width / 2, camera.height / 2)


def to_ideal(xy: Float[np.ndarray, "N 2"], camera: Camera) -> Float[np.ndarray, "N 2"]:
    """Pixels of the photo to pixels of `ideal(camera)`."""
    if not len(xy):
        return xy
    # Matrix and pixels move by the same half, so OpenCV's integer centres play no part.
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    distortion = np.array(camera.distortion, np.float64)
    rays = cv2.undistortPoints(xy[:, None].astype(np.float64), camera.matrix, distortion, criteria=criteria)
    pinhole = ideal(camera)
    return rays[:, 0] * pinhole.fx + [pinhole.cx, pinhole.cy]


def from_ideal(xy: Float[np.ndarray, "N 2"], camera: Camera) -> Float[np.ndarray, "N 2"]:
    """The inverse of `to_ideal`."""
    if not len(xy):
        return xy
    pinhole = ideal(camera)
    rays = np.column_stack([(xy - [pinhole.cx, pinhole.cy]) / pinhole.fx, np.ones(len(xy))])
    distortion = np.array(camera.distortion, np.float64)
    return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.matrix, distortion)[0][:, 0]
