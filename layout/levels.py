"""Floor and ceiling. Upright frames, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from fewview.layout import tolerances as tol
from fewview.layout.surfaces import Surfaces


@dataclass(frozen=True)
class Level:
    """A horizontal plane of the room."""

    height: float
    observed: bool
    """Else it is where observation ends."""
    area: float
    """That supports it, square metres (an area seen twice counts twice)."""


def find_levels(surfaces: Surfaces) -> tuple[Level, Level]:
    """The lowest floor and the highest ceiling with enough support, metres; else what observation reaches to, or where
    they mostly are, whichever is farther.

    A table top is no floor: what is seen past its edge lies below it. What is seen through a level, in a place where it
    was seen, is a reflection in it.
    """
    z, facing = surfaces.xyz[:, 2], surfaces.normal[:, 2]
    eyes = surfaces.centers[:, 2]
    below, above = (
        (facing > tol.LEVEL_COSINE) & (z < eyes.min() - tol.BELOW_EYES_M),
        (facing < -tol.LEVEL_COSINE) & (z > eyes.max() + tol.ABOVE_EYES_M),
    )
    floor = _floor(surfaces, below)
    top = next(iter(_levels(-z[above], surfaces.weight[above])), None)
    reach = np.percentile(z, (tol.REACH_TAIL, 100 - tol.REACH_TAIL))
    floor = floor or Level(float(min(reach[0], np.median(eyes) - tol.USUAL_EYE_M)), False, 0.0)
    if top:
        return floor, Level(-top.height, True, top.area)
    usual = max(floor.height + tol.USUAL_HEIGHT_M, eyes.max() + tol.BELOW_EYES_M)
    return floor, Level(float(max(reach[1], usual)), False, 0.0)


def _floor(surfaces: Surfaces, facing: Bool[np.ndarray, " N"]) -> Level | None:
    """The lowest level that is not seen through a higher one, unless more is seen past it than a floor needs.

    Args:
        facing: points that may lie on a floor.
    """
    z, weight = surfaces.xyz[:, 2], surfaces.weight
    levels = _levels(z[facing], weight[facing])
    points = [facing & (np.abs(z - level.height) < tol.LEVEL_REACH_M[0]) for level in levels]
    for k, level in enumerate(levels):
        above = zip(levels[k + 1 :], points[k + 1 :], strict=True)
        if any(weight[_past(surfaces, points[k], *other)].sum() < weight[points[k]].sum() / 2 for other in above):
            continue
        under = (z < level.height - tol.PAST_M) & (weight > 0)
        past = float(weight[_past(surfaces, under, level, points[k])].sum())
        return level if past < tol.LEVEL_SUPPORT_M2 else None
    return None


def _past(
    surfaces: Surfaces, under: Bool[np.ndarray, " N"], level: Level, on: Bool[np.ndarray, " N"]
) -> Int[np.ndarray, " P"]:
    """Of points below a level, those that are seen beside it, and not through where it was seen."""
    which = np.flatnonzero(under & (surfaces.xyz[:, 2] < level.height))
    eyes = surfaces.centers[surfaces.view[which]]
    share = (eyes[:, 2] - level.height) / (eyes[:, 2] - surfaces.xyz[which, 2])
    crossing = eyes[:, :2] + share[:, None] * (surfaces.xyz[which, :2] - eyes[:, :2])
    return which[cKDTree(surfaces.xyz[on, :2]).query(crossing)[0] > tol.PAST_M]


def _levels(z: Float[np.ndarray, " N"], weight: Float[np.ndarray, " N"]) -> list[Level]:
    """Peaks of the heights' histogram that have enough support and are no fringe of a larger one, lowest first."""
    if weight.sum() < tol.LEVEL_SUPPORT_M2:
        return []
    low = z.min() - 0.2
    place = ((z - low) / tol.LEVEL_BIN_M).astype(int)
    histogram = np.bincount(place, weight, place.max() + 12)
    kernel = np.exp(-((np.arange(-5, 6) / 2.0) ** 2) / 2)
    smooth = np.convolve(histogram, kernel, "same")
    window = np.convolve(histogram, np.ones(7), "same")
    peak = (smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:]) & (window[1:-1] > tol.LEVEL_SUPPORT_M2)
    peak &= smooth[1:-1] > tol.LEVEL_FRINGE * smooth.max()
    found = []
    for start in low + (np.flatnonzero(peak) + 1.5) * tol.LEVEL_BIN_M:
        height = float(start)
        for reach in tol.LEVEL_REACH_M:
            near = np.abs(z - height) < reach
            height = float(np.average(z[near], weights=weight[near]))
        found.append(Level(height, True, float(weight[near].sum())))
    return found
