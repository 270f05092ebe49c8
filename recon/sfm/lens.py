"""Photos whose intrinsics are known are mapped as if an ideal pinhole with centred axis had taken them."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from fewview.recon.scene import Camera


def ideal(camera: Camera) -> Camera:
    """The pinhole of the same size and mean focal length, its axis through the centre."""
    focal = math.sqrt(camera.fx * camera.fy)
    return Camera(camera.width, camera.height, focal, focal, camera.width / 2, camera.height / 2)


def to_ideal(xy: Float[np.ndarray, "N 2"], camera: Camera) -> Float[np.ndarray, "N 2"]:
    """Pixels of the photo to pixels of `ideal(camera)`."""
    pinhole = ideal(camera)
    return camera.undistorted(xy) * pinhole.fx + [pinhole.cx, pinhole.cy]


def from_ideal(xy: Float[np.ndarray, "N 2"], camera: Camera) -> Float[np.ndarray, "N 2"]:
    """The inverse of `to_ideal`."""
    pinhole = ideal(camera)
    return camera.distorted((xy - [pinhole.cx, pinhole.cy]) / pinhole.fx)
