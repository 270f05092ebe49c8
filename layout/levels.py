"""Floor and ceiling. Upright frames, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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
    """The lowest floor and the highest ceiling with enough support, metres; else what observation reaches to."""
    z, facing = surfaces.xyz[:, 2], surfaces.normal[:, 2]
    eyes = surfaces.centers[:, 2]
    below, above = (
        (facing > tol.LEVEL_COSINE) & (z < eyes.min() - tol.BELOW_EYES_M),
        (facing < -tol.LEVEL_COSINE) & (z > eyes.max() + tol.ABOVE_EYES_M),
    )
    floor = _lowest(z[below], surfaces.weight[below])
    ceiling = _lowest(-z[above], surfaces.weight[above])
    reach = np.percentile(z, (tol.REACH_TAIL, 100 - tol.REACH_TAIL))
    return (
        floor or Level(float(min(reach[0], eyes.min() - tol.BELOW_EYES_M)), False, 0.0),
        Level(-ceiling.height, True, ceiling.area)
        if ceiling
        else Level(float(max(reach[1], eyes.max() + tol.BELOW_EYES_M)), False, 0.0),
    )


def _lowest(z: Float[np.ndarray, " N"], weight: Float[np.ndarray, " N"]) -> Level | None:
    """The lowest peak of the heights' histogram that has enough support and is no fringe of a larger one."""
    if weight.sum() < tol.LEVEL_SUPPORT_M2:
        return None
    low = z.min() - 0.2
    place = ((z - low) / tol.LEVEL_BIN_M).astype(int)
    histogram = np.bincount(place, weight, place.max() + 12)
    kernel = np.exp(-((np.arange(-5, 6) / 2.0) ** 2) / 2)
    smooth = np.convolve(histogram, kernel, "same")
    window = np.convolve(histogram, np.ones(7), "same")
    peak = (smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:]) & (window[1:-1] > tol.LEVEL_SUPPORT_M2)
    peak &= smooth[1:-1] > tol.LEVEL_FRINGE * smooth.max()
    if not peak.any():
        return None
    height = low + (np.flatnonzero(peak)[0] + 1.5) * tol.LEVEL_BIN_M
    for reach in tol.LEVEL_REACH_M:
        near = np.abs(z - height) < reach
        height = float(np.average(z[near], weights=weight[near]))
    return Level(height, True, float(weight[near].sum()))
