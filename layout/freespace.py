"""What the photos say about the plan: where they look through, and where surfaces block the view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from fewview.layout import tolerances as tol
from fewview.layout.surfaces import Surfaces
from fewview.layout.walls import WallLine


@dataclass(frozen=True)
class FreeSpace:
    """A grid over the plan, cells of 5 cm; row-major, x along columns."""

    origin: Float[np.ndarray, " 2"]
    seen: Float[np.ndarray, "Y X"]
    """1 where rays pass at any height, else 0."""
    behind: Float[np.ndarray, "Y X"]
    """1 within 30 cm behind upright surfaces where no ray passes, else 0."""

    def centers(self) -> Float[np.ndarray, "YX 2"]:
        y, x = np.indices(self.seen.shape)
        return self.origin + tol.SPACE_CELL_M * (np.stack([x.ravel(), y.ravel()], 1) + 0.5)


def indoors(surfaces: Surfaces, walls: Sequence[WallLine], floor: float) -> Bool[np.ndarray, " N"]:
    """Which points are not seen through a door or window: their rays pass no wall that goes on above them.

    A passage without a lintel, and what is seen over furniture, is part of the room.
    """
    out = np.ones(len(surfaces.xyz), bool)
    eyes = surfaces.centers[surfaces.view]
    for wall in walls:
        before = surfaces.centers[:, :2] @ wall.normal - wall.offset
        after = surfaces.xyz[:, :2] @ wall.normal - wall.offset
        crosses = np.flatnonzero((before[surfaces.view] > 0) & (after < -tol.THROUGH_M))
        share = before[surfaces.view[crosses]] / (before[surfaces.view[crosses]] - after[crosses])
        at = eyes[crosses] + share[:, None] * (surfaces.xyz[crosses] - eyes[crosses])
        column = np.floor((at[:, :2] @ wall.tangent - wall.start) / tol.COLUMN_M).astype(int)
        on = (column >= 0) & (column < len(wall.top))
        out[crosses[on]] &= wall.top[column[on]] < at[on, 2] - floor + tol.LINTEL_M
    return out


def observe(surfaces: Surfaces, floor: float, ceiling: float, margin: float = 1.0) -> FreeSpace:
    """Project all rays into the plan.

    Args:
        margin: by which the grid is larger than what was observed, metres.
    """
    plan, eyes = surfaces.xyz[:, :2], surfaces.centers[:, :2]
    within = (surfaces.xyz[:, 2] > floor - tol.SLACK_M) & (surfaces.xyz[:, 2] < ceiling + tol.SLACK_M)
    low, high = np.percentile(plan[within], (tol.SPACE_TAIL, 100 - tol.SPACE_TAIL), axis=0)
    origin = np.minimum(low, eyes.min(0)) - margin
    size = np.ceil((np.maximum(high, eyes.max(0)) + margin - origin) / tol.SPACE_CELL_M).astype(int)
    start = eyes[surfaces.view][within]
    ray = plan[within] - start
    length = np.linalg.norm(ray, axis=1)
    ray /= np.maximum(length, 1e-9)[:, None]
    free = (
        length
        - tol.MARGIN_M
        - tol.MARGIN_SHARE * np.linalg.norm(surfaces.xyz[within] - surfaces.centers[surfaces.view][within], axis=1)
    )
    seen = _passed((start - origin) / tol.SPACE_CELL_M, ray / tol.SPACE_CELL_M, free, size) >= tol.MIN_RAYS
    grid = FreeSpace(origin, seen.astype(float), seen.astype(float))
    near = np.linalg.norm(grid.centers()[:, None] - eyes, axis=2).min(1) < tol.AROUND_CAMERA_M
    seen |= near.reshape(seen.shape)
    upright = (np.abs(surfaces.normal[within, 2]) < tol.WALL_COSINE) & (surfaces.weight[within] > 0)
    inwards = surfaces.normal[within, :2][upright]
    depths = np.arange(0.05, tol.BEHIND_M, 0.05)
    places = plan[within][upright, None] - depths[:, None] * inwards[:, None]
    blocked = _count(places.reshape(-1, 2), origin, size).reshape(seen.shape) >= tol.MIN_RAYS
    return FreeSpace(origin, seen.astype(float), (blocked & ~seen).astype(float))


def _passed(
    start: Float[np.ndarray, "N 2"], ray: Float[np.ndarray, "N 2"], length: Float[np.ndarray, " N"], size: np.ndarray
) -> Float[np.ndarray, "Y X"]:
    """How many rays pass each cell. Several do, so that not every ray need be sampled in every cell.

    Args:
        start: in cells, in the grid.
        ray: cells per metre.
        length: metres.
    """
    with np.errstate(divide="ignore"):
        leaves = (np.where(ray > 0, size - start, start) / np.abs(ray)).min(1)
    length = np.minimum(length, leaves - 1e-6)
    order = np.argsort(-length)
    (x, y), (dx, dy), length = start[order].T, ray[order].T, length[order]
    counts = np.zeros(size[0] * size[1])
    for step in np.arange(0.0, max(float(length.max(initial=0)), tol.SPACE_CELL_M), 1.5 * tol.SPACE_CELL_M):
        far = slice(int(np.searchsorted(-length, -step)))
        cell = (y[far] + step * dy[far]).astype(int) * size[0] + (x[far] + step * dx[far]).astype(int)
        counts += np.bincount(cell, minlength=len(counts))
    return counts.reshape(size[1], size[0])


def _count(places: Float[np.ndarray, "N 2"], origin: np.ndarray, size: Int[np.ndarray, " 2"]) -> np.ndarray:
    at = ((places - origin) / tol.SPACE_CELL_M).astype(int)
    inside = (at >= 0).all(1) & (at < size).all(1)
    return np.bincount(at[inside, 1] * size[0] + at[inside, 0], minlength=size[0] * size[1]).astype(float)
