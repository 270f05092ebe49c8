"""Directed wall hypotheses: lines in the plan with a side that is the room. Upright frames, metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from layout.surfaces import Surfaces

BIN_M = 0.01
BLUR_M = 0.03
SUPPRESSION_M = 0.12
MIN_SUPPORT_M2 = 0.35
MIN_LENGTH_M = 0.1
MIN_OBLIQUE_LENGTH_M = 0.8
"""Shorter oblique pieces are mostly corners that depth maps have rounded."""
HIGH = 0.7
"""Share of the room's height above which furniture is rare: support counts double."""
FACING_DEG = 20.0
REACH_M = 0.06
"""Points this near to a line belong to it."""
COLUMN_M = 0.05
ROW_M = 0.1


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
        seen = np.flatnonzero(self.coverage > 0.15)
        return self.start + seen[0] * COLUMN_M, self.start + (seen[-1] + 1) * COLUMN_M

    @property
    def length(self) -> float:
        """Of the columns that are seen."""
        return float(COLUMN_M * (self.coverage > 0.15).sum())

    def cover(self, a: float, b: float) -> float:
        """Mean coverage between two places along the tangent."""
        low, high = min(a, b), max(a, b)
        edges = self.start + COLUMN_M * np.arange(len(self.coverage) + 1)
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
    upright = (np.abs(surfaces.normal[:, 2]) < 0.35) & (surfaces.weight > 0)
    upright &= (surfaces.xyz[:, 2] > floor + 0.05) & (surfaces.xyz[:, 2] < ceiling - 0.02)
    points = surfaces.take(upright)
    share = (points.xyz[:, 2] - floor) / height
    for angle in [*(k * np.pi / 2 for k in range(4)), *oblique]:
        facing = points.normal[:, :2] @ Line(angle, 0).normal > np.cos(np.radians(FACING_DEG))
        if facing.any():
            lines = _peaks(points.take(facing), share[facing], angle, height)
            found += [line for line in lines if angle not in oblique or line.length > MIN_OBLIQUE_LENGTH_M]
    return found


def _peaks(points: Surfaces, share: Float[np.ndarray, " N"], angle: float, height: float) -> list[WallLine]:
    line = Line(angle, 0.0)
    s = points.xyz[:, :2] @ line.normal
    weight = points.weight * np.where(share > HIGH, 2, 1)
    low = s.min() - 0.3
    histogram = np.bincount(((s - low) / BIN_M).astype(int), weight, int((s.max() + 0.3 - low) / BIN_M) + 1)
    reach = round(3 * BLUR_M / BIN_M)
    kernel = np.exp(-((np.arange(-reach, reach + 1) * BIN_M / BLUR_M) ** 2) / 2)
    smooth = np.convolve(histogram, kernel, "same")
    out = []
    while smooth.max() > 0:
        place = int(np.argmax(smooth))
        smooth[max(0, place - round(SUPPRESSION_M / BIN_M)) : place + round(SUPPRESSION_M / BIN_M) + 1] = 0
        offset = low + (place + 0.5) * BIN_M
        for near_m in (REACH_M, 0.04):
            near = np.abs(s - offset) < near_m
            if near.any():
                offset = float(np.average(s[near], weights=weight[near] + 1e-12))
        near = np.abs(s - offset) < REACH_M
        area = float(weight[near].sum())
        if area < MIN_SUPPORT_M2:
            break
        start, coverage, top = _coverage(points.xyz[near, :2] @ line.tangent, share[near], height)
        found = WallLine(angle, offset, start, coverage, top, area)
        if found.length > MIN_LENGTH_M:
            out.append(found)
    return out


def _coverage(
    t: Float[np.ndarray, " N"], share: Float[np.ndarray, " N"], height: float
) -> tuple[float, Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """Where the columns start; per column, the share of the room's height that is covered (what is high counts double,
    and half is full), and up to which height."""
    start = float(np.floor(t.min() / COLUMN_M) * COLUMN_M)
    columns, rows = int((t.max() - start) / COLUMN_M) + 1, max(1, round(height / ROW_M))
    hit = np.zeros((columns, rows), bool)
    hit[((t - start) / COLUMN_M).astype(int), np.clip((share * rows).astype(int), 0, rows - 1)] = True
    # Points are sparser than columns far away: a gap between two hits is no gap of the surface.
    hit = _closed(hit)
    value = np.where((np.arange(rows) + 0.5) / rows > HIGH, 2.0, 1.0)
    top = (hit * (np.arange(rows) + 1)).max(1) * (height / rows)
    return start, np.minimum((hit * value).sum(1) / value.sum() * 2, 1.0), top


def _closed(hit: Bool[np.ndarray, "C R"]) -> Bool[np.ndarray, "C R"]:
    """Gaps of up to two columns filled."""
    padded = np.pad(hit, ((2, 2), (0, 0)))
    grown = padded[1:-1] | padded[:-2] | padded[2:]
    grown = np.pad(grown, ((1, 1), (0, 0)), constant_values=True)
    shrunk = grown[1:-1] & grown[:-2] & grown[2:]
    return shrunk[1:-1] | hit
