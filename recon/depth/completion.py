"""What only one photo sees, or stereo cannot match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.depth.consistency import ray_directions
from recon.depth.covisibility import COMPLETED, VERIFIED, DepthMap
from recon.depth.diffusion import diffuse, distance_to
from recon.scene import PosedImage

REACH = 0.3
"""How far completion may extrapolate from verified pixels, as a share of the long side."""


def complete(views: Sequence[PosedImage], maps: Sequence[DepthMap]) -> list[DepthMap]:
    return [_fill(view, depth_map) for view, depth_map in zip(views, maps, strict=True)]


def _fill(view: PosedImage, known: DepthMap) -> DepthMap:
    verified = known.source == VERIFIED
    if not verified.any():
        return known
    weight = np.where(verified, known.confidence.astype(np.float32), 0)
    inverse = np.where(verified, 1 / known.depth, 0).astype(np.float32)
    filled = diffuse(view.image, inverse, weight)
    distance = distance_to(verified)
    target = ~verified & view.mask & (distance < REACH * max(verified.shape)) & (filled > 0)
    depth = np.where(target, 1 / np.maximum(filled, 1e-9), known.depth).astype(np.float32)
    confidence = np.where(target, 0.3 * np.exp(-distance / (0.08 * max(verified.shape))), known.confidence)
    normal = np.where(target[..., None], depth_normals(view, 1 / np.maximum(filled, 1e-9)), known.normal)
    source = np.where(target, COMPLETED, known.source)
    return DepthMap(depth, confidence.astype(np.float16), normal.astype(np.float16), source.astype(np.uint8))


def depth_normals(view: PosedImage, depth: np.ndarray) -> np.ndarray:
    """Unit normals (H, W, 3), camera frame, towards the camera, from the slope of a depth map."""
    points = ray_directions(view) * depth[..., None]
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return np.where((normal * points).sum(-1, keepdims=True) > 0, -normal, normal)
