"""Changes of axes and pixel conventions at the border to other programs; all are exact.

Inside the program worlds have y down and pixel centres lie at half-integers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import canonical_distortion, check_intrinsics, check_rigid
from fewview.recon.scene import Camera, View


def turned(view: View, axes: Float[np.ndarray, "3 3"]) -> View:
    """The view in the world whose axes are turned by `axes`."""
    T = view.T_world_camera.copy()
    T[:3] = axes @ view.T_world_camera[:3]
    return replace(view, T_world_camera=T)


def opencv_matrix(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """K for pixel centres at integers, as OpenCV counts them."""
    K = camera.matrix
    K[:2, 2] -= 0.5
    return K


def opencv_camera(name: str, size: tuple[int, int], K: np.ndarray, distortion: np.ndarray) -> Camera:
    """The camera of OpenCV's K and (k1, k2, p1, p2[, k3]).

    Raises:
        ValueError: K is no 3x3 matrix without skew, there are coefficients beyond k3, or they cannot project.
    """
    K, distortion = np.asarray(K, np.float64), np.asarray(distortion, np.float64).ravel()
    if K.shape != (3, 3) or K[0, 1] or K[1, 0] or K[2].tolist() != [0, 0, 1]:
        raise ValueError(f"the matrix of {name} is not [fx 0 cx; 0 fy cy; 0 0 1]")
    if len(distortion) > 5 and distortion[5:].any():
        raise ValueError(f"the distortion of {name} has terms beyond k3")
    camera = Camera(
        *size,
        fx=float(K[0, 0]),
        fy=float(K[1, 1]),
        cx=float(K[0, 2]) + 0.5,
        cy=float(K[1, 2]) + 0.5,
        distortion=canonical_distortion(distortion[:5].tolist()),
    )
    check_intrinsics(camera, name)
    return camera


def view_of(name: str, camera: Camera, R: np.ndarray, t: np.ndarray) -> View:
    """The view of a camera with x_camera = R X + t.

    Raises:
        ValueError: R is no rotation, or t is not finite.
    """
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, np.asarray(t, np.float64).ravel()
    check_rigid(T)
    return View(name, camera, invert_rigid(T))
