"""One surface, one set of points: drops what a better photo already explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import UNKNOWN, VERIFIED, DepthMap, Points
from fewview.recon.depth.consistency import pixel_index
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage


def kept_pixels(views: Sequence[PosedImage], maps: Sequence[DepthMap]) -> list[Bool[np.ndarray, "_ _"]]:
    """Per view the pixels that become points.

    Views are ranked by mean confidence. A pixel is dropped where a higher-ranked view shows the same surface:
    its point lies before that camera (z > 0), inside its image, and within `SAME_SURFACE` of its depth there. A
    verified pixel is dropped only for a verified one.
    """
    mean = [float(m.confidence.astype(np.float32).mean()) for m in maps]
    order = sorted(range(len(views)), key=lambda i: (-mean[i], i))
    kept: list[Bool[np.ndarray, "_ _"]] = [np.zeros(m.depth.shape, bool) for m in maps]
    for rank, i in enumerate(order):
        keep = maps[i].source != UNKNOWN
        rows, columns = np.nonzero(keep)
        xyz = world_points(views[i], maps[i].depth, rows, columns)
        is_verified = maps[i].source[rows, columns] == VERIFIED
        explained = np.zeros(len(rows), bool)
        for j in order[:rank]:
            explained |= _explained(views[j], maps[j], xyz, is_verified)
        keep[rows[explained], columns[explained]] = False
        kept[i] = keep
    return kept


def gather_points(
    views: Sequence[PosedImage], maps: Sequence[DepthMap], kept: Sequence[Bool[np.ndarray, "_ _"]]
) -> Points:
    """Points of the kept pixels, view by view, row by row."""
    parts: list[tuple[np.ndarray, ...]] = []
    for i, (view, depth_map, keep) in enumerate(zip(views, maps, kept, strict=True)):
        rows, columns = np.nonzero(keep)
        depth = depth_map.depth[rows, columns]
        normal = depth_map.normal[rows, columns].astype(np.float32)
        ray = view.camera.rays(np.float32)[rows, columns]
        facing = np.abs((normal * ray).sum(1)) / np.linalg.norm(ray, axis=1)
        # Half a pixel's footprint, larger (mean of both axes) on a slanted surface, at most doubled.
        focal = 0.5 * (view.camera.fx + view.camera.fy)
        radius = 0.5 * depth / focal / np.sqrt(np.clip(facing, tol.LEAST_FACING, 1))
        parts.append(
            (
                world_points(view, depth_map.depth, rows, columns).astype(np.float32),
                np.round(view.image[rows, columns] * 255).astype(np.uint8),
                (normal @ view.T_world_camera[:3, :3].T.astype(np.float32)).astype(np.float16),
                radius.astype(np.float32),
                depth_map.confidence[rows, columns],
                depth_map.source[rows, columns] == VERIFIED,
                np.full(len(rows), i, np.int16),
            )
        )
    return Points(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def world_points(view: PosedImage, depth: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """World coordinates (N, 3), float64, of pixels at their depth."""
    rays = view.camera.rays_at(np.stack([columns, rows], -1) + 0.5)
    return transform(view.T_world_camera, rays * depth[rows, columns, None].astype(np.float64))


def _explained(view: PosedImage, depth_map: DepthMap, xyz: np.ndarray, is_verified: np.ndarray) -> np.ndarray:
    X = transform(view.T_camera_world, xyz)
    u, v = view.camera.project(X).T
    inside, iy, ix = pixel_index(u, v, view.camera.width, view.camera.height)
    there = depth_map.depth[iy, ix]
    source = depth_map.source[iy, ix]
    same = np.abs(there - X[:, 2]) < tol.SAME_SURFACE * X[:, 2]  # False where either is unknown (NaN)
    return inside & same & ((source == VERIFIED) | ((source != UNKNOWN) & ~is_verified))
