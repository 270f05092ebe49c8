"""Directed wall hypotheses: lines in the plan with a side that is the room. Upright frames, metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewview.layout import tolerances as tol
from fewview.layout.surfaces import Surfaces


@dataclass(frozen=True)
class Line:
    """Points p of the plan with normal . p = offset; the room is where normal . p is larger."""

    angle: float
    """Of the normal, radians."""
    offset: float

    @property
    def normal(self) -> Float[np.ndarray, " 2"]:
        return np.array([np.cos(self.angle), np.sin(self.angle)])

    @property
    def tangent(self) -> Float[np.ndarray, " 2"]:
        return np.array([-np.sin(self.angle), np.cos(self.angle)])


@dataclass(frozen=True)
class WallLine(Line):
    """A line with what was seen on it."""

    start: float
    """Place along the tangent of the first column of `coverage`."""
    coverage: Float[np.ndarray, " C"]
    """Per column of 5 cm, how well surface on the line supports a wall, in [0, 1]."""
    top: Float[np.ndarray, " C"]
    """Per column, how high above the floor surface was seen on the line; 0 where none was."""
    area: float
    """Supporting surface, square metres."""

    @property
    def extent(self) -> tuple[float, float]:
        seen = np.flatnonzero(self.coverage > tol.COLUMN_SEEN)
        return self.start + seen[0] * tol.COLUMN_M, self.start + (seen[-1] + 1) * tol.COLUMN_M

    @property
    def length(self) -> float:
        """Of the columns that are seen."""
        return float(tol.COLUMN_M * (self.coverage > tol.COLUMN_SEEN).sum())

    def cover(self, a: float, b: float) -> float:
        """Mean coverage between two places along the tangent."""
        low, high = min(a, b), max(a, b)
        edges = self.start + tol.COLUMN_M * np.arange(len(self.coverage) + 1)
        overlap = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
        return float(overlap @ self.coverage / max(high - low, 1e-9))


def find_walls(surfaces: Surfaces, floor: float, ceiling: float, oblique: Sequence[float]) -> list[WallLine]:
    """Peaks of the offsets' histogram for every directed normal.

    Args:
        floor, ceiling: heights.
        oblique: directions of normals other than those of the axes, radians.
    """
    found: list[WallLine] = []
    height = ceiling - floor
    upright = (np.abs(surfaces.normal[:, 2]) < tol.WALL_COSINE) & (surfaces.weight > 0)
    upright &= (surfaces.xyz[:, 2] > floor + tol.WALL_MARGINS_M[0]) & (
        surfaces.xyz[:, 2] < ceiling - tol.WALL_MARGINS_M[1]
    )
    points = surfaces.take(upright)
    share = (points.xyz[:, 2] - floor) / height
    for angle in [*(k * np.pi / 2 for k in range(4)), *oblique]:
        facing = points.normal[:, :2] @ Line(angle, 0).normal > np.cos(np.radians(tol.FACING_DEG))
        if facing.any():
            lines = _peaks(points.take(facing), share[facing], angle, height)
            found += [line for line in lines if angle not in oblique or line.length > tol.OBLIQUE_LENGTH_M]
    return found


def _peaks(points: Surfaces, share: Float[np.ndarray, " N"], angle: float, height: float) -> list[WallLine]:
    line = Line(angle, 0.0)
    s = points.xyz[:, :2] @ line.normal
    weight = points.weight * np.where(share > tol.HIGH, 2, 1)
    low = s.min() - 0.3
    histogram = np.bincount(
        ((s - low) / tol.WALL_BIN_M).astype(int), weight, int((s.max() + 0.3 - low) / tol.WALL_BIN_M) + 1
    )
    reach = round(3 * tol.WALL_BLUR_M / tol.WALL_BIN_M)
    kernel = np.exp(-((np.arange(-reach, reach + 1) * tol.WALL_BIN_M / tol.WALL_BLUR_M) ** 2) / 2)
    smooth = np.convolve(histogram, kernel, "same")
    out = []
    while smooth.max() > 0:
        place = int(np.argmax(smooth))
        gap = round(tol.WALL_SUPPRESSION_M / tol.WALL_BIN_M)
        smooth[max(0, place - gap) : place + gap + 1] = 0
        offset = low + (place + 0.5) * tol.WALL_BIN_M
        for near_m in tol.WALL_REACH_M:
            near = np.abs(s - offset) < near_m
            if near.any():
                offset = float(np.average(s[near], weights=weight[near] + 1e-12))
        near = np.abs(s - offset) < tol.WALL_REACH_M[0]
        area = float(weight[near].sum())
        if area < tol.WALL_SUPPORT_M2:
            break
        start, coverage, top = _coverage(points.xyz[near, :2] @ line.tangent, share[near], height)
        found = WallLine(angle, offset, start, coverage, top, area)
        if found.length > 0:
            out.append(found)
    return out


def _coverage(
    t: Float[np.ndarray, " N"], share: Float[np.ndarray, " N"], height: float
) -> tuple[float, Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """Where the columns start; per column, the share of the room's height that is covered (what is high counts double,
    and half is full), and up to which height."""
    start = float(np.floor(t.min() / tol.COLUMN_M) * tol.COLUMN_M)
    columns, rows = int((t.max() - start) / tol.COLUMN_M) + 1, max(1, round(height / tol.ROW_M))
    hit = np.zeros((columns, rows), bool)
    hit[((t - start) / tol.COLUMN_M).astype(int), np.clip((share * rows).astype(int), 0, rows - 1)] = True
    # Points are sparser than columns far away: a gap between two hits is no gap of the surface.
    hit = _closed(hit)
    value = np.where((np.arange(rows) + 0.5) / rows > tol.HIGH, 2.0, 1.0)
    top = (hit * (np.arange(rows) + 1)).max(1) * (height / rows)
    return start, np.minimum((hit * value).sum(1) / value.sum() * 2, 1.0), top


def _closed(hit: Bool[np.ndarray, "C R"]) -> Bool[np.ndarray, "C R"]:
    """Gaps of up to two columns filled."""
    padded = np.pad(hit, ((2, 2), (0, 0)))
    grown = padded[1:-1] | padded[:-2] | padded[2:]
    grown = np.pad(grown, ((1, 1), (0, 0)), constant_values=True)
    shrunk = grown[1:-1] & grown[:-2] & grown[2:]
    return shrunk[1:-1] | hit
