"""Does another view's own estimate confirm a pixel? Forward-backward reprojection between plane maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.patchmatch import PlaneMap, warp_matrices
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class Agreement:
    """How the sources of one view answer its estimate, per pixel."""

    count: UInt8[np.ndarray, "H W"]
    """Sources that agree (within `MAX_ERROR_PX` and `MAX_ERROR_RELATIVE`)."""
    error_px: Float32[np.ndarray, "H W"]
    """Least forward-backward error over the sources; inf where no source sees the pixel."""
    error_relative: Float32[np.ndarray, "H W"]
    """Depth error relative to depth, of the same source."""
    angle_deg: Float32[np.ndarray, "H W"]
    """Largest triangulation angle over the agreeing sources; 0 where none agrees."""


def agreement(
    view: PosedImage, planes: PlaneMap, sources: Sequence[PosedImage], source_planes: Sequence[PlaneMap]
) -> Agreement:
    """Send every pixel of `view` to each source at its depth, and back at the source's depth.

    The source's surface is continued from its nearest pixel along that pixel's plane, so slanted surfaces
    meet exactly.
    """
    height, width = planes.inverse.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    count = np.zeros((height, width), np.uint8)
    best_px = np.full((height, width), np.inf, np.float32)
    best_relative = np.full((height, width), np.inf, np.float32)
    angle = np.zeros((height, width), np.float32)
    ray = view.camera.rays(np.float32)
    known = planes.inverse > 0
    depth = 1 / np.where(known, planes.inverse, np.float32(1))
    for source, other in zip(sources, source_planes, strict=True):
        u, v, q = warp(view, source, x, y, planes.inverse)
        inverse = sample_planes(other, u, v, q > 0)
        bx, by, bq = warp(source, view, u, v, inverse)
        valid = known & (inverse > 0) & (bq > 0)
        error = np.where(valid, np.hypot(bx - x, by - y), np.inf).astype(np.float32)
        # bq is z in the view over z in the source (times its own w = 1): depth in the view is bq / inverse.
        back = bq / np.where(valid, inverse, 1)
        relative = np.where(valid, np.abs(back / depth - 1), np.inf).astype(np.float32)
        agrees = (error < tol.MAX_ERROR_PX) & (relative < tol.MAX_ERROR_RELATIVE)
        count += agrees
        better = error < best_px
        best_px = np.where(better, error, best_px)
        best_relative = np.where(better, relative, best_relative)
        to_source = (view.T_camera_world @ source.T_world_camera)[:3, 3].astype(np.float32)
        point = ray * depth[..., None]
        angle = np.maximum(angle, np.where(agrees, _angle_deg(point, point - to_source), 0))
    return Agreement(count, best_px, best_relative, angle)


def verified(planes: PlaneMap, agreed: Agreement) -> Bool[np.ndarray, "H W"]:
    """Pixels that stereo may call its own: confirmed by another view, matched, and part of a surface."""
    keep = (agreed.count > 0) & (planes.cost < tol.MAX_COST) & (planes.inverse > 0)
    return keep & ~_speckles(planes.inverse, keep)


def warp(
    a: PosedImage, b: PosedImage, x: np.ndarray, y: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (x, y) of `a` at an inverse depth, seen by `b`: `(u, v, q)`; z-depth in b is q / inverse."""
    m, t = (array.astype(np.float32) for array in warp_matrices(a, b))
    q = m[2, 0] * x + m[2, 1] * y + m[2, 2] + t[2] * inverse
    safe = np.where(q > 0, q, np.float32(np.nan))
    u = (m[0, 0] * x + m[0, 1] * y + m[0, 2] + t[0] * inverse) / safe
    v = (m[1, 0] * x + m[1, 1] * y + m[1, 2] + t[1] * inverse) / safe
    return u, v, q


def pixel_index(u: np.ndarray, v: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(inside, iy, ix)`: which points lie in the image, and in which pixels (NaN: in none)."""
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    return inside, np.where(inside, v, 0).astype(np.int64), np.where(inside, u, 0).astype(np.int64)


def sample_planes(planes: PlaneMap, u: np.ndarray, v: np.ndarray, valid: np.ndarray) -> Float32[np.ndarray, "H W"]:
    """Inverse depth at image points, each from the plane of its pixel; 0 where outside or unknown."""
    height, width = planes.inverse.shape
    inside, iy, ix = pixel_index(u, v, width, height)
    at = planes.inverse[iy, ix]
    inside &= valid & (at > 0)
    value = at + planes.gradient_x[iy, ix] * (u - ix - 0.5) + planes.gradient_y[iy, ix] * (v - iy - 0.5)
    return np.where(inside & (value > 0), value, 0).astype(np.float32)


def _angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-12)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).astype(np.float32)


def _speckles(inverse: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Pixels of `keep` in connected surfaces that are too small to trust."""
    if not keep.any():
        return np.zeros_like(keep)
    log = np.log(np.where(keep, inverse, inverse[keep].max()))
    # filterSpeckles wants 16-bit values: the logarithm in eighths of the step.
    unit = max(tol.SPECKLE_STEP / 8, float(np.ptp(log)) / 30000)
    levels = np.where(keep, (log - log.min()) / unit, -100).astype(np.int16)
    # On a small image, too, a handful of pixels may agree by chance.
    area = max(tol.LEAST_SPECKLE_PX, round(tol.SPECKLE_PX * (max(inverse.shape) / 512) ** 2))
    cv2.filterSpeckles(levels, -100, area, round(tol.SPECKLE_STEP / unit))
    return keep & (levels == -100)
