"""How long the unit of a world is, and how sure that is: what every length of a run says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

PROBABILITY = 0.9
"""That the truth lies in an interval (the convention of every interval in a run's files)."""
DEVIATIONS = 1.6449
"""Standard deviations from the middle of a normal distribution to the ends of such an interval. (derived)"""
PICK_PX = 1.0
"""Standard deviation of a click, in pixels of a photo of 1000 px."""

Interval = tuple[float, float]
"""The least and the most, between which the truth lies with `PROBABILITY`."""


@dataclass(frozen=True)
class Scale:
    """How lengths of the world relate to metres."""

    units: str
    """`metre` or `unknown`: of the world."""
    source: str
    """What fixed the scale, in words."""
    interval: Interval | None = None
    """True metres in what is called a metre; None where the scale was given without one, and counts as exact."""
    metre: float = 1.0
    """Units of the world that are called a metre: 1 where units are metres."""
    guess: bool = False
    """Nothing in the photos was measured: the scale is what rooms and people mostly are like."""

    @property
    def unit(self) -> str:
        """As written after a length of the world."""
        return "m" if self.units == "metre" else "units"

    @property
    def spread(self) -> str:
        """The interval in words; empty where there is none."""
        if self.interval is None:
            return ""
        low, high = (f"{100 * (end - 1):+.2g}".replace("-", "−") for end in self.interval)
        return f"within {low} and {high} % with a probability of {PROBABILITY:g}"

    @property
    def sentence(self) -> str:
        told = self.source if self.interval is None else f"{self.source}; {self.spread}"
        if self.units == "metre":
            return f"Lengths are in metres ({told})."
        if self.guess:
            return f"The scale is a guess: {1 / self.metre:.3g} m to a unit of the scene ({told})."
        return "The scale is unknown: lengths are in units of the scene, not metres."

    def around(self, metres: float, deviation: float = 0.0, power: int = 1) -> Interval:
        """Where a length (power 1) or an area (2) truly lies that is called `metres`.

        Args:
            deviation: standard deviation of its own, besides that of the scale, in the same unit.
        """
        own = DEVIATIONS * deviation
        ends = [metres * end**power - metres for end in self.interval or (1.0, 1.0)]
        return metres - math.hypot(ends[0], own), metres + math.hypot(ends[1], own)


def normal(deviation: float) -> Interval:
    """The interval of a factor whose logarithm has this standard deviation."""
    return math.exp(-DEVIATIONS * deviation), math.exp(DEVIATIONS * deviation)
