"""On which side of its wall each dimension line of a plan lies, so that no two of them cross."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def dimension_sides(polygon: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, " N"]:
    """Per wall -1, outside, or 1, inside.

    Lines outside two walls that meet in a concave corner would cross each other, and so would lines inside two that
    meet in a convex one: along the room, a wall after a concave corner has its line inside where the one before it
    has not.

    Args:
        polygon: starts of the walls, counterclockwise.
    """
    edges = np.roll(polygon, -1, 0) - polygon
    before = np.roll(edges, 1, 0)
    concave = before[:, 0] * edges[:, 1] - before[:, 1] * edges[:, 0] < 0
    sides = np.full(len(polygon), -1)
    # From a convex corner on, which every polygon has: there, the last wall may have its line on either side.
    first = int(np.argmin(concave))
    for index in (np.arange(1, len(polygon)) + first) % len(polygon):
        if concave[index] and sides[index - 1] < 0:
            sides[index] = 1
    return sides
