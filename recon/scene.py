"""The shared vocabulary: cameras and posed views.

Conventions (CONTRIBUTING.md): OpenCV camera axes (x right, y down, z forward); `T_world_camera` maps camera
to world coordinates; pixel centres lie at half-integers, so an image spans [0, width] x [0, height].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

_WIDEST = 1e4
"""Tangent of the widest angle from the axis that a pinhole can stand for."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one photo at one size, in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    """Principal point; the image centre is (width / 2, height / 2)."""
    cy: float
    distortion: tuple[float, ...] = ()
    """OpenCV order k1, k2, p1, p2[, k3]; empty for a pinhole. Of a fisheye k1, k2, k3, k4; empty where all are 0."""
    fisheye: bool = False
    """OpenCV's fisheye model (COLMAP's OPENCV_FISHEYE): a ray at the angle t from the axis meets the image at
    t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8) focal lengths from the principal point."""

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def is_pinhole(self) -> bool:
        return not self.fisheye and not any(self.distortion)

    def resized(self, width: int, height: int) -> Camera:
        """The same camera for the photo resampled to `width` x `height`."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
        )

    def fitted(self, long_side: int) -> Camera:
        """The same camera for the photo shrunk to `long_side` (never enlarged)."""
        scale = min(1.0, long_side / max(self.width, self.height))
        return self.resized(max(1, round(self.width * scale)), max(1, round(self.height * scale)))

    def pinhole(self) -> Camera:
        """The camera of the undistorted image (same matrix, no distortion); of a fisheye's, its middle."""
        return replace(self, distortion=(), fisheye=False)

    def undistorted(self, xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Where the rays of pixels cross the plane at distance 1; of a fisheye's rays that hardly or never do, a point
        far out on their side."""
        if not len(xy):
            return np.zeros((0, 2))
        points, K = xy[:, None].astype(np.float64), self.matrix
        # Matrix and pixels move by the same half, so OpenCV's integer centres play no part.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
        if not self.fisheye:
            return cv2.undistortPoints(points, K, np.array(self.distortion, np.float64), criteria=criteria)[:, 0]
        found = cv2.fisheye.undistortPoints(points, K, self._fisheye_terms, criteria=criteria)[:, 0]
        # OpenCV marks failure by -1e6, and beyond a right angle its tangent has the other sign.
        out = xy - [self.cx, self.cy]
        crosses = (found * out >= 0).all(axis=1) & (np.abs(found) < _WIDEST).all(axis=1)
        far = _WIDEST * out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1.0)
        return np.where(crosses[:, None], found, far)

    def distorted(self, uv: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Pixels of the rays that cross the plane at distance 1 there: the inverse of `undistorted`."""
        if not len(uv):
            return np.zeros((0, 2))
        K, nothing = self.matrix, np.zeros(3)
        if self.fisheye:
            points = np.ascontiguousarray(uv[:, None], np.float64)
            return cv2.fisheye.distortPoints(points, K, self._fisheye_terms)[:, 0]
        rays = np.column_stack([uv, np.ones(len(uv))])
        return cv2.projectPoints(rays, nothing, nothing, K, np.array(self.distortion, np.float64))[0][:, 0]

    @property
    def _fisheye_terms(self) -> Float[np.ndarray, " 4"]:
        return np.array((*self.distortion, 0.0, 0.0, 0.0, 0.0)[:4])


@dataclass(frozen=True)
class View:
    """A photo's place in the world."""

    name: str
    """The photo's unique name within the run."""
    camera: Camera
    """At the original (upright) resolution unless stated otherwise."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Camera to world, float64, scene units."""

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        return self.T_world_camera[:3, 3]

    @property
    def T_camera_world(self) -> Float[np.ndarray, "4 4"]:
        return invert_rigid(self.T_world_camera)


@dataclass(frozen=True)
class PosedImage:
    """An undistorted image with its pinhole camera: what depth and splatting work on."""

    name: str
    camera: Camera
    """Pinhole, at the size of `image`."""
    T_world_camera: Float[np.ndarray, "4 4"]
    image: Float[np.ndarray, "H W 3"]
    """RGB in [0, 1], float32."""
    mask: Bool[np.ndarray, "H W"]
    """True where the photo may be used (False: masked by the user, or outside the undistorted photo)."""

    @property
    def T_camera_world(self) -> Float[np.ndarray, "4 4"]:
        return invert_rigid(self.T_world_camera)


def mean_up(T_world_camera: Sequence[Float[np.ndarray, "4 4"]]) -> Float[np.ndarray, " 3"]:
    """The mean of the cameras' upward directions, world frame; shorter than 1 the more they differ, 0 at worst."""
    return -np.mean([T[:3, 1] for T in T_world_camera], axis=0)


def invert_rigid(T: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Inverse of a rigid motion."""
    out = np.eye(4)
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return out
