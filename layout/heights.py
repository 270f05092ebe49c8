"""How long a metre is in a scene of unknown scale: what rooms and people are like. Upright frames, z up.

The posterior of the scale given heights measured in scene units, under what is believed of them in metres. All live on
the logarithm of the scale, where beliefs of heights are mixtures of normal distributions and simply multiply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.layout.levels import find_levels
from fewview.layout.model import RoomLayout
from fewview.layout.surfaces import Surfaces
from fewview.recon.scale import PROBABILITY, Scale

HEIGHT_NOISE = 0.015
"""Standard deviation of the logarithm of a height between two levels, of measuring. (about 2 cm of an eye's height)"""


@dataclass(frozen=True)
class Belief:
    """Of a height before it is measured: a mixture of log-normal distributions."""

    what: str
    """As words for the user."""
    parts: tuple[tuple[float, float, float], ...]
    """Weight, middle (metres), standard deviation of the logarithm."""

    def density(self, height: Float[np.ndarray, " N"], deviation: float) -> Float[np.ndarray, " N"]:
        """Of the logarithm of heights in metres that were measured with this standard deviation of the logarithm."""
        total = np.zeros(len(height))
        for weight, middle, spread in self.parts:
            width = np.hypot(spread, deviation)
            total += weight / width * np.exp(-((np.log(height / middle) / width) ** 2) / 2)
        return total


@dataclass(frozen=True)
class Height:
    """A height that was measured."""

    units: float
    """Scene units."""
    belief: Belief
    deviation: float = HEIGHT_NOISE
    """Standard deviation of its logarithm, of measuring."""


EYE = Belief("how high cameras are held", ((0.92, 1.46, 0.076), (0.08, 1.4, 0.25)))
"""Above the floor: between shoulder and eye of standing adults in shoes (Pheasant and Haslegrave, Bodyspace: means of
stature 1.53 to 1.755 m in four peoples, deviation .05 to .07; eyes .11 m and shoulders .31 m below the crown); one in
twelve kneels, sits or reaches up (assumed)."""
ROOM = Belief("how high rooms are", ((0.9, 2.5, 0.062), (0.1, 3.0, 0.15)))
"""Building codes and custom: 2.3 m (England, space standard 2015), 2.4 m (least in Germany, Australia and China), 2.44
and 2.74 m (8 and 9 feet); one in ten is in an old or a grand house (assumed). No survey of ceilings was found."""
ABOVE = Belief("how high ceilings are above cameras", ((1.0, 1.07, 0.22),))
"""The difference of the two. (derived)"""
DOOR = Belief("how high doors are", ((0.9, 2.02, 0.02), (0.1, 2.1, 0.05)))
"""Leaves of 1.98 m (BS 4787), 1.985 m (DIN 18101), 2.03 m (80 inches), 2.04 and 2.1 m."""
MIDDLE = Belief("how far away things are", ((1.0, 2.5, 0.35),))
"""Median distance of what is seen where neither floor nor ceiling is. (assumed)"""
_ANY_OPENING = (2.1, 0.3)
"""Middle and deviation of the height of what only seems to be a door. (assumed)"""
_DOOR_NOISE = 0.02
"""Standard deviation of the logarithm of a door's measured height. (derived: a cell of its grid)"""
_LEAST = 1e-30
"""Of a density: heights that contradict each other must not rule out every scale. (derived: beyond 11 deviations)"""
_REACH, _STEPS = 1.6, 6401
"""How far the logarithm of a scale may lie from where the first height puts it, and the scales that are tried.
(derived: beyond all beliefs, half a thousandth apart)"""


def heights_of(surfaces: Surfaces) -> list[Height]:
    """Of the cameras and of the room, as far as floor and ceiling are seen; else the distance of what is seen.

    Whether a level is one depends on the scale, which depends on the levels: three rounds settle that.
    """
    middle = float(np.median(np.linalg.norm(surfaces.xyz - surfaces.centers[surfaces.view], axis=1)))
    found = [Height(middle, MIDDLE)]
    for _ in range(3):
        metre = guess(found).metre
        floor, ceiling = find_levels(surfaces.scaled(1 / metre))
        eye = float(np.median(surfaces.centers[:, 2])) / metre
        seen = []
        if floor.observed:
            seen.append(Height(metre * (eye - floor.height), EYE))
        if ceiling.observed:
            whole = (ceiling.height - floor.height, ROOM) if floor.observed else (ceiling.height - eye, ABOVE)
            seen.append(Height(metre * whole[0], whole[1]))
        found = seen or found
    return found


def doors_of(layout: RoomLayout) -> list[Height]:
    """Of the doors of a layout, each as sure as it is one."""
    doors = [o for wall in layout.walls for o in wall.openings if o.kind == "door"]
    return [Height(door.high, _doubted(DOOR, door.confidence), _DOOR_NOISE) for door in doors]


def guess(heights: Sequence[Height]) -> Scale:
    """The scale that heights tell: median of its posterior and the interval around it."""
    rough = heights[0].belief.parts[0][1] / heights[0].units
    metres = rough * np.exp(np.linspace(-_REACH, _REACH, _STEPS))
    log = sum(np.log(each.belief.density(each.units * metres, each.deviation) + _LEAST) for each in heights)
    share = np.cumsum(np.exp(log - np.max(log)))
    tail = (1 - PROBABILITY) / 2
    low, middle, high = np.interp([tail, 0.5, 1 - tail], share / share[-1], metres)
    told = list(dict.fromkeys(each.belief.what for each in heights))
    words = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    return Scale(
        "unknown", f"guessed from {words}", (float(low / middle), float(high / middle)), float(1 / middle), guess=True
    )


def _doubted(belief: Belief, confidence: float) -> Belief:
    """What is believed of a height where this may be another one: then it may be any that an opening has."""
    sure = tuple((confidence * weight, middle, spread) for weight, middle, spread in belief.parts)
    return Belief(belief.what, (*sure, (1 - confidence, *_ANY_OPENING)))
