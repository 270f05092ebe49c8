"""A camera's intrinsics: from pixels to rays and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

_FOLDED_PX = 1.0
"""A point whose pixel leads back to another ray, by more than this, is not what the pixel shows."""
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

    def slopes(self, dtype: DTypeLike = np.float64) -> tuple[Float[np.ndarray, " W"], Float[np.ndarray, " H"]]:
        """x / z of the columns' centres and y / z of the rows', as if there were no distortion."""
        x = (np.arange(self.width, dtype=dtype) + 0.5 - self.cx) / self.fx
        y = (np.arange(self.height, dtype=dtype) + 0.5 - self.cy) / self.fy
        return x.astype(dtype, copy=False), y.astype(dtype, copy=False)

    def rays(self, dtype: DTypeLike = np.float64) -> Float[np.ndarray, "H W 3"]:
        """Directions through all pixel centres in camera axes, z = 1: times the z-depth, the pixels' points."""
        if not self.is_pinhole:
            centers = np.stack(np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5), -1)
            return self.rays_at(centers).astype(dtype)
        return np.stack([*np.meshgrid(*self.slopes(dtype)), np.ones((self.height, self.width), dtype)], -1)

    def rays_at(self, xy: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 3"]:
        """Directions through places of the image (pixels) in camera axes, z = 1."""
        if self.is_pinhole:
            x, y = (xy[..., 0] - self.cx) / self.fx, (xy[..., 1] - self.cy) / self.fy
        else:
            x, y = np.moveaxis(self.undistorted(xy.reshape(-1, 2)).reshape(xy.shape), -1, 0)
        return np.stack([x, y, np.ones_like(x)], -1)

    def project(self, xyz: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 2"]:
        """Pixels of points in camera axes, also such outside the image.

        NaN where points lie behind the camera, and where a polynomial folds what lies far outside the photo back into
        it: the pixel's own ray then is another.
        """
        z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
        if self.is_pinhole:
            return np.stack([self.fx * xyz[..., 0] / z + self.cx, self.fy * xyz[..., 1] / z + self.cy], -1)
        slopes = (xyz[..., :2] / z[..., None]).reshape(-1, 2)
        pixels = self.distorted(slopes)
        miss = np.abs(self.undistorted(pixels) - slopes).max(1, keepdims=True)
        return np.where(miss * max(self.fx, self.fy) < _FOLDED_PX, pixels, np.nan).reshape(*xyz.shape[:-1], 2)

    def undistorted(self, xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Where the rays of pixels cross the plane at distance 1; of a fisheye's rays that hardly or never do, a point
        far out on their side."""
        if not len(xy):
            return np.zeros((0, 2))
        # Matrix and pixels move by the same half, so OpenCV's integer centres play no part.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
        points, K = xy[:, None].astype(np.float64), self.matrix
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
        if self.fisheye:
            points = np.ascontiguousarray(uv[:, None], np.float64)
            return cv2.fisheye.distortPoints(points, self.matrix, self._fisheye_terms)[:, 0]
        rays, nothing = np.column_stack([uv, np.ones(len(uv))]), np.zeros(3)
        return cv2.projectPoints(rays, nothing, nothing, self.matrix, np.array(self.distortion, np.float64))[0][:, 0]

    @property
    def _fisheye_terms(self) -> Float[np.ndarray, " 4"]:
        return np.array((*self.distortion, 0.0, 0.0, 0.0, 0.0)[:4])
