"""What the other photos say about a surface that one photo proposes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from recon.depth.consistency import pixel_index, warp
from recon.depth.covisibility import VERIFIED, DepthMap, world_points
from recon.scene import PosedImage

IN_FRONT = 0.03
"""A surface that lies this share of its depth before what another photo verified would have hidden it."""
BORROW_COLOUR = 0.12
"""Largest RGB distance at which another photo's point may be one that this photo shows."""
PUSH_STEPS = 24


def contradicted(
    view: PosedImage,
    inverse: Float32[np.ndarray, "H W"],
    others: Sequence[PosedImage],
    maps: Sequence[DepthMap],
    stride: int = 1,
) -> tuple[Bool[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Test a surface of `view` (inverse depth; not positive: none) on every `stride`-th pixel.

    Returns:
        Whether it lies in front of a verified surface of another view, and the least RGB distance to what the
        other views show at its place (NaN where none has it in its frame, or all see something before it).
    """
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    w = np.ascontiguousarray(inverse[grid])
    height, width = inverse.shape
    x, y = np.meshgrid(
        np.arange(width, dtype=np.float32)[stride // 2 :: stride] + 0.5,
        np.arange(height, dtype=np.float32)[stride // 2 :: stride] + 0.5,
    )
    colour = view.image[grid]
    front = np.zeros(w.shape, bool)
    difference = np.full(w.shape, np.nan, np.float32)
    for other, depth_map in zip(others, maps, strict=True):
        u, v, q = warp(view, other, x, y, w)
        inside, iy, ix = pixel_index(u, v, other.camera.width, other.camera.height)
        inside &= (w > 0) & other.mask[iy, ix]
        z = q / np.where(w > 0, w, 1)
        there = np.where(depth_map.source[iy, ix] == VERIFIED, depth_map.depth[iy, ix], np.nan)
        front |= inside & (z < there * (1 - IN_FRONT))
        seen = inside & ~(z > there * (1 + IN_FRONT))
        distance = np.linalg.norm(colour - other.image[iy, ix], axis=-1)
        difference = np.fmin(difference, np.where(seen, distance, np.nan))
    return front, difference


def pushed_behind(
    view: PosedImage,
    inverse: Float32[np.ndarray, "H W"],
    target: Bool[np.ndarray, "H W"],
    farthest: float,
    others: Sequence[PosedImage],
    maps: Sequence[DepthMap],
) -> Float32[np.ndarray, "H W"]:
    """Move the pixels of `target` that another photo contradicts away along their rays, until none does.

    Returns:
        Inverse depth; 0 where no depth up to `farthest` is free of contradiction.
    """
    out = np.where(target, inverse, 0).astype(np.float32)
    front, _ = contradicted(view, out, others, maps)
    shrink = np.float32(1)
    result = np.where(front, 0, out)
    for _ in range(PUSH_STEPS):
        if not front.any():
            break
        shrink *= np.float32(0.94)
        trial = np.where(front, out * shrink, 0)
        trial = np.where(trial > 1 / farthest, trial, 0).astype(np.float32)
        still, _ = contradicted(view, trial, others, maps)
        result = np.where(front & ~still & (trial > 0), trial, result)
        front &= still & (trial > 0)
    return np.where(target, result, inverse)


def borrowed(
    view: PosedImage, known: Bool[np.ndarray, "H W"], others: Sequence[PosedImage], maps: Sequence[DepthMap]
) -> Float32[np.ndarray, "H W"]:
    """Inverse depth of what other views verified and this view shows but could not match itself (0: nothing).

    The nearest point wins a pixel; its colour must agree, and so must its neighbours, because a surface that this
    view hides behind something unmatched would otherwise shine through.
    """
    height, width = known.shape
    nearest = np.zeros(height * width, np.float32)
    camera, T = view.camera, view.T_camera_world
    for other, depth_map in zip(others, maps, strict=True):
        rows, columns = np.nonzero((depth_map.source == VERIFIED) & (depth_map.confidence > 0.5))
        X = world_points(other, depth_map.depth, rows, columns) @ T[:3, :3].T + T[:3, 3]
        z = np.where(X[:, 2] > 0, X[:, 2], np.nan)
        u, v = camera.fx * X[:, 0] / z + camera.cx, camera.fy * X[:, 1] / z + camera.cy
        inside, iy, ix = pixel_index(u, v, width, height)
        alike = np.linalg.norm(view.image[iy, ix] - other.image[rows, columns], axis=1) < BORROW_COLOUR
        take = inside & alike
        np.maximum.at(nearest, (iy * width + ix)[take], (1 / z[take]).astype(np.float32))
    value = nearest.reshape(height, width)
    value[known] = 0
    # Keep a point if most of the points around it lie on its surface.
    have = (value > 0).astype(np.float32)
    around = cv2.blur(have, (5, 5))
    mean = cv2.blur(value, (5, 5)) / np.maximum(around, 1e-6)
    agrees = np.abs(value - mean) < 0.03 * mean
    return np.where(agrees & (around > 0.3), value, 0).astype(np.float32)
