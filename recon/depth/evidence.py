"""What the other photos say about a surface that one photo proposes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.depth.consistency import pixel_index, warp
from fewview.recon.depth.covisibility import world_points
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage


def contradicted(
    view: PosedImage,
    x: Float32[np.ndarray, " n"],
    y: Float32[np.ndarray, " n"],
    inverse: Float32[np.ndarray, " n"],
    others: Sequence[PosedImage],
    maps: Sequence[DepthMap],
) -> tuple[Bool[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Test surface points that `view` proposes at image points (x, y) (inverse depth; not positive: none).

    Returns:
        Whether a point lies in front of a verified surface of another view, and the least RGB distance to
        what the other views show at its place (NaN where none shows it).
    """
    colour = view.image[y.astype(np.int64), x.astype(np.int64)]
    front = np.zeros(x.shape, bool)
    difference = np.full(x.shape, np.nan, np.float32)
    exists = inverse > 0
    for other, depth_map in zip(others, maps, strict=True):
        u, v, q = warp(view, other, x, y, inverse)
        inside, iy, ix = pixel_index(u, v, other.camera.width, other.camera.height)
        inside &= exists & other.mask[iy, ix]
        z = q / np.where(exists, inverse, 1)
        there = np.where(depth_map.source[iy, ix] == VERIFIED, depth_map.depth[iy, ix], np.nan)
        front |= inside & (z < there * (1 - tol.IN_FRONT))
        seen = inside & ~(z > there * (1 + tol.IN_FRONT))
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
    out = inverse.copy()
    rows, columns = np.nonzero(target)
    trial = inverse[rows, columns]
    for _ in range(tol.PUSH_STEPS):
        x, y = (columns + 0.5).astype(np.float32), (rows + 0.5).astype(np.float32)
        front, _ = contradicted(view, x, y, trial, others, maps)
        rows, columns, trial = rows[front], columns[front], trial[front] * np.float32(tol.PUSH)
        beyond = trial < 1 / farthest
        out[rows, columns] = np.where(beyond, 0, trial)
        rows, columns, trial = rows[~beyond], columns[~beyond], trial[~beyond]
        if not len(rows):
            return out
    out[rows, columns] = 0
    return out


def borrowed(
    view: PosedImage, known: Bool[np.ndarray, "H W"], others: Sequence[PosedImage], maps: Sequence[DepthMap]
) -> Float32[np.ndarray, "H W"]:
    """Inverse depth of what other views verified and this view shows but could not match itself (0: nothing).

    The nearest point wins a pixel; its colour must agree, and so must its neighbours, because a surface that
    this view hides behind something unmatched would otherwise shine through.
    """
    height, width = known.shape
    nearest = np.zeros(height * width, np.float32)
    for other, depth_map in zip(others, maps, strict=True):
        rows, columns = np.nonzero((depth_map.source == VERIFIED) & (depth_map.confidence > tol.BORROW_CONFIDENCE))
        X = transform(view.T_camera_world, world_points(other, depth_map.depth, rows, columns))
        u, v = view.camera.project(X).T
        inside, iy, ix = pixel_index(u, v, width, height)
        alike = np.linalg.norm(view.image[iy, ix] - other.image[rows, columns], axis=1) < tol.BORROW_COLOUR
        take = inside & alike
        np.maximum.at(nearest, (iy * width + ix)[take], (1 / X[take, 2]).astype(np.float32))
    value = nearest.reshape(height, width)
    value[known] = 0
    # Keep a point if most of the points around it lie on its surface.
    have = (value > 0).astype(np.float32)
    around = cv2.blur(have, (5, 5))
    mean = cv2.blur(value, (5, 5)) / np.maximum(around, 1e-6)
    agrees = np.abs(value - mean) < tol.BORROW_ALIKE * mean
    return np.where(agrees & (around > tol.BORROW_DENSE), value, 0).astype(np.float32)
