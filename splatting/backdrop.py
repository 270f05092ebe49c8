"""A soft backdrop behind and beside what the photos saw, so that new views have no black holes.

From a new place one looks past edges to where no photo looked, and past the photos' borders. What is there is unknown,
but it is seldom black: most likely it continues the farther of what lies around it. So each photo is given a coarse
layer of large Gaussians just behind its farthest surfaces, wider than the photo, in their blurred colours. In its own
photo the layer is hidden; where another photo sees it wrongly, training makes it transparent.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage
from fewview.splatting.initialize import PointCloud

CELLS = 24
"""Along the long side of a photo."""
MARGIN = 0.4
"""Width of the layer beyond each border, as a share of the long side."""
BEHIND = 1.06
"""Depth of the layer in units of the farthest depth around."""
REACH = 2
"""What is around: so many cells to each side."""


def backdrop(view: PosedImage, depth: Float[np.ndarray, "h w"], index: int) -> PointCloud:
    """The layer of one photo, as points that know their size.

    Args:
        view: its photo.
        depth: z-depth at any size, NaN = unknown.
        index: number of the view, kept with the points.

    Returns:
        One point a cell, facing the camera; none where the photo has no depth at all.
    """
    rows, columns, cell = _grid(view)
    size = (columns, rows)
    depth = cv2.resize(
        depth.astype(np.float32), (view.camera.width, view.camera.height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    known = np.isfinite(depth) & (depth > 0) & view.mask
    far = _farthest(np.where(known, depth, 0), rows, columns)
    # Only what is about as far as the farthest around lends its colour.
    lends = known & (
        depth >= 0.9 * cv2.resize(far, (view.camera.width, view.camera.height), interpolation=cv2.INTER_NEAREST_EXACT)
    )
    share = cv2.resize(lends.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    color = cv2.resize(view.image * lends[..., None], size, interpolation=cv2.INTER_AREA)
    inverse = np.where(far > 0, 1 / np.maximum(far, 1e-9), 0) * share
    if not share.any():
        return _empty()
    pad = math.ceil(MARGIN * CELLS)
    layers = np.concatenate([color, inverse[..., None], share[..., None]], -1).astype(np.float64)
    layers = _filled(np.pad(layers, ((pad, pad), (pad, pad), (0, 0))))
    camera = view.camera
    pixels = np.meshgrid(
        (np.arange(columns + 2 * pad) - pad + 0.5) * camera.width / columns,
        (np.arange(rows + 2 * pad) - pad + 0.5) * camera.height / rows,
    )
    z = BEHIND / layers[..., 3]
    local = (camera.rays_at(np.stack(pixels, -1)) * z[..., None]).reshape(-1, 3)
    count = len(local)
    return PointCloud(
        xyz=transform(view.T_world_camera, local),
        rgb=np.round(np.clip(layers[..., :3], 0, 1) * 255).astype(np.uint8).reshape(-1, 3),
        normal=np.repeat(-view.T_world_camera[None, :3, 2], count, axis=0),
        radius=(0.5 * cell * z / camera.fx).reshape(-1),
        confidence=np.ones(count),
        verified=np.zeros(count, bool),
        view=np.full(count, index),
    )


def _grid(view: PosedImage) -> tuple[int, int, float]:
    cell = max(view.camera.width, view.camera.height) / CELLS
    return max(1, round(view.camera.height / cell)), max(1, round(view.camera.width / cell)), cell


def _farthest(depth: Float[np.ndarray, "H W"], rows: int, columns: int) -> Float[np.ndarray, "R C"]:
    """Nearly the largest depth within REACH cells of each cell, 0 where none is known."""
    per_cell = np.zeros((rows, columns), np.float32)
    ys = np.linspace(0, depth.shape[0], rows + 1).round().astype(int)
    xs = np.linspace(0, depth.shape[1], columns + 1).round().astype(int)
    for row in range(rows):
        for column in range(columns):
            block = depth[ys[row] : ys[row + 1], xs[column] : xs[column + 1]]
            values = block[block > 0]
            if values.size:
                per_cell[row, column] = np.quantile(values, 0.9)
    return cv2.dilate(per_cell, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8))


def _filled(layers: Float[np.ndarray, "R C 5"]) -> Float[np.ndarray, "R C 5"]:
    """Values (weighted by the last channel) spread smoothly to where their weight is zero (push-pull)."""
    weight = layers[..., -1:]
    if min(layers.shape[:2]) > 1 and (weight < 1e-3).any():
        rows, columns = layers.shape[:2]
        half = (math.ceil(columns / 2), math.ceil(rows / 2))
        coarse = _filled(_resized(layers, half, cv2.INTER_AREA))
        spread = _resized(coarse, (columns, rows), cv2.INTER_LINEAR)
        layers = layers + np.maximum(1 - 4 * weight, 0) * spread
    values = layers / np.maximum(layers[..., -1:], 1e-12)
    return values


def _resized(layers: Float[np.ndarray, "R C 5"], size: tuple[int, int], how: int) -> Float[np.ndarray, "r c 5"]:
    # OpenCV averages areas of at most four channels at a time.
    return np.concatenate(
        [cv2.resize(layers[..., :3], size, interpolation=how), cv2.resize(layers[..., 3:], size, interpolation=how)], -1
    )


def _empty() -> PointCloud:
    none = np.zeros(0)
    return PointCloud(
        np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros((0, 3)), none, none, none > 0, none.astype(int)
    )
