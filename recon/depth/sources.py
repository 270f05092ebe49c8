"""Which photos a view is matched against, and between which depths, from the sparse points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Float, Int

from fewview.recon.depth import tolerances as tol
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class SparsePoints:
    xyz: Float[np.ndarray, "N 3"]
    """World, scene units."""
    seen: list[Int[np.ndarray, " _"]]
    """Per view, sorted indices of the points that it observes."""


def read_sparse(folder: Path, names: Sequence[str]) -> SparsePoints:
    """The points of a COLMAP model.

    Args:
        folder: with cameras, images and points3D files.
        names: views, in the order that `seen` shall have.

    Raises:
        InputError: the folder holds no readable model.
    """
    try:
        model = pycolmap.Reconstruction(str(folder))
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"{folder} holds no readable COLMAP model: {error}.", "Use a finished `cameras` folder."
        ) from error
    ids = sorted(model.points3D)
    index = {point: i for i, point in enumerate(ids)}
    xyz = np.array([model.points3D[i].xyz for i in ids], np.float64).reshape(-1, 3)
    by_name = {image.name: image for image in model.images.values()}
    seen = []
    for name in names:
        points = by_name[name].points2D if name in by_name else []
        seen.append(np.array(sorted({index[p.point3D_id] for p in points if p.has_point3D()}), np.int64))
    return SparsePoints(xyz, seen)


def depth_range(views: Sequence[PosedImage], points: SparsePoints, i: int) -> tuple[float, float]:
    """Nearest and farthest z-depth to search in view `i`, scene units.

    Raises:
        ReconstructionError: not one sparse point lies in front of the view.
    """
    T = views[i].T_camera_world
    for candidates in (points.xyz[points.seen[i]], points.xyz):
        z = candidates @ T[2, :3] + T[2, 3]
        z = z[z > 0]
        if len(z) >= tol.RANGE_POINTS or (len(z) and candidates is points.xyz):
            break
    if not len(z):
        raise ReconstructionError(
            f"No triangulated point lies in front of {views[i].name}, so its depth range is unknown.",
            "Take more photos that overlap with it, or leave it out.",
        )
    near, far = np.percentile(z, (tol.RANGE_TAIL, 100 - tol.RANGE_TAIL))
    return float(near * tol.RANGE_FACTORS[0]), float(far * tol.RANGE_FACTORS[1])


def choose_sources(views: Sequence[PosedImage], points: SparsePoints, count: int) -> list[list[int]]:
    """Per view the other views that show most of its points at a useful angle, best first, at most `count`.

    A view that sees none of the points of any other gets an empty list.
    """
    centers = np.array([view.T_world_camera[:3, 3] for view in views])
    in_frame = np.array([_in_frame(view, points.xyz) for view in views])
    seen = np.zeros((len(views), len(points.xyz)), bool)
    for i, indices in enumerate(points.seen):
        seen[i, indices] = True
    chosen = []
    for i in range(len(views)):
        mine = points.xyz[points.seen[i]]
        to_i = _unit(centers[i] - mine)
        scores = np.zeros(len(views))
        for j in range(len(views)):
            if j == i or not len(mine):
                continue
            cosine = np.clip((to_i * _unit(centers[j] - mine)).sum(1), -1, 1)
            angle = np.degrees(np.arccos(cosine))
            weight = np.minimum(angle / tol.FULL_WEIGHT_DEG, 1)
            weight *= np.exp(-0.5 * np.square(np.maximum(angle - tol.WIDE_DEG, 0) / tol.WIDE_FADE_DEG))
            matched = seen[j, points.seen[i]]
            weight *= np.where(matched, 1.0, tol.UNMATCHED_WEIGHT * in_frame[j, points.seen[i]])
            scores[j] = weight.sum()
        order = np.argsort(-scores, kind="stable")
        # A view with a small fraction of the best one's evidence would rather spoil the cost than help it.
        chosen.append([int(j) for j in order if scores[j] > tol.LEAST_SOURCE * scores.max()][:count])
    return chosen


def _in_frame(view: PosedImage, xyz: Float[np.ndarray, "N 3"]) -> np.ndarray:
    u, v = view.camera.project(transform(view.T_camera_world, xyz)).T
    return (u >= 0) & (v >= 0) & (u < view.camera.width) & (v < view.camera.height)


def _unit(x: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
