"""Pinhole cameras with Brown-Conrady distortion: projection with derivatives, and its inverse. All arrays broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

COEFFICIENTS = 5
"""k1, k2, p1, p2, k3, OpenCV's order."""
_NEAR = 1e-3
"""Points nearer than this (or behind) are projected from here: an error that is large, finite and smooth."""

_WIDEST = 20.0
"""Tangent of the angle beyond which points are projected as if at it: no lens here sees there."""


@dataclass(frozen=True)
class Lenses:
    """Intrinsics of C cameras."""

    size: Int[np.ndarray, "C 2"]
    log_focal: Float[np.ndarray, " C"]
    """Of fx in pixels."""
    aspect: Float[np.ndarray, " C"]
    """fy / fx."""
    principal: Float[np.ndarray, "C 2"]
    distortion: Float[np.ndarray, "C 5"]

    @property
    def focal(self) -> Float[np.ndarray, "C 2"]:
        """fx and fy in pixels."""
        fx = np.exp(self.log_focal)
        return np.stack([fx, fx * self.aspect], axis=-1)


@dataclass(frozen=True)
class Projection:
    """Pixels and their derivatives."""

    xy: Float[np.ndarray, "*N 2"]
    by_point: Float[np.ndarray, "*N 2 3"]
    """By the point in camera axes."""
    by_log_focal: Float[np.ndarray, "*N 2"]
    by_distortion: Float[np.ndarray, "*N 2 5"]


def distort(uv: Float[np.ndarray, "*N 2"], k: Float[np.ndarray, "*#N 5"]) -> Float[np.ndarray, "*N 2"]:
    """Distorted from ideal normalised coordinates (Brown 1971, as in OpenCV)."""
    u, v = uv[..., 0], uv[..., 1]
    r2 = u * u + v * v
    radial = 1 + r2 * (k[..., 0] + r2 * (k[..., 1] + r2 * k[..., 4]))
    p1, p2 = k[..., 2], k[..., 3]
    return np.stack(
        [u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v],
        axis=-1,
    )


def project(lenses: Lenses, camera: np.ndarray, X: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 2"]:
    """Pixels of points in camera axes; `camera` indexes the lenses and broadcasts against N."""
    z = np.maximum(X[..., 2], _NEAR)
    uv = distort(np.clip(X[..., :2] / z[..., None], -_WIDEST, _WIDEST), lenses.distortion[camera])
    return uv * lenses.focal[camera] + lenses.principal[camera]


def project_with_derivatives(lenses: Lenses, camera: np.ndarray, X: Float[np.ndarray, "*N 3"]) -> Projection:
    """As `project`, with the derivatives."""
    front = X[..., 2] > _NEAR
    z = np.where(front, X[..., 2], _NEAR)
    u, v = np.clip(X[..., 0] / z, -_WIDEST, _WIDEST), np.clip(X[..., 1] / z, -_WIDEST, _WIDEST)
    k = lenses.distortion[camera]
    k1, k2, p1, p2, k3 = (k[..., i] for i in range(COEFFICIENTS))
    focal = lenses.focal[camera]
    r2 = u * u + v * v
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
    du = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
    dv = v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v
    uu = radial + slope * u * u + 2 * p1 * v + 6 * p2 * u
    uv = slope * u * v + 2 * p1 * u + 2 * p2 * v
    vv = radial + slope * v * v + 6 * p1 * v + 2 * p2 * u
    fx, fy = focal[..., 0], focal[..., 1]
    depth = np.where(front, -1 / z, 0)
    by_point = np.stack(
        [
            np.stack([fx * uu / z, fx * uv / z, fx * (uu * u + uv * v) * depth], axis=-1),
            np.stack([fy * uv / z, fy * vv / z, fy * (uv * u + vv * v) * depth], axis=-1),
        ],
        axis=-2,
    )
    scaled = np.stack([du, dv], axis=-1) * focal
    terms_u = np.stack([u * r2, u * r2**2, 2 * u * v, r2 + 2 * u * u, u * r2**3], axis=-1)
    terms_v = np.stack([v * r2, v * r2**2, r2 + 2 * v * v, 2 * u * v, v * r2**3], axis=-1)
    by_distortion = np.stack([fx[..., None] * terms_u, fy[..., None] * terms_v], axis=-2)
    return Projection(scaled + lenses.principal[camera], by_point, scaled, by_distortion)


def normalise(lenses: Lenses, camera: np.ndarray, xy: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
    """Ideal normalised coordinates of pixels, by fixed-point iteration as in OpenCV; NaN stays NaN."""
    target = (xy - lenses.principal[camera]) / lenses.focal[camera]
    k = np.broadcast_to(lenses.distortion[camera], (*target.shape[:-1], COEFFICIENTS))
    uv = target
    if not k.any():
        return uv
    for _ in range(12):
        # Half steps where the lens is strong: the plain iteration may oscillate at the edge of a wide lens.
        uv = np.clip(uv + 0.8 * (target - distort(uv, k)), -_WIDEST, _WIDEST)
    return uv
