"""Whether what was found is a room at all: no walls are invented around a facade, a garden or an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewview.layout import tolerances as tol
from fewview.layout.model import RoomLayout
from fewview.layout.polygon import on_edge
from fewview.layout.surfaces import Surfaces
from fewview.layout.walls import Line


class NoRoomError(Exception):
    """The photos show no room; the message is the reason, in words for the user."""


@dataclass(frozen=True)
class RoomEvidence:
    """What speaks for a room."""

    directions: int
    """Observed walls that differ by more than 30 degrees in where they face."""
    enclosed_deg: float
    """Of the horizon around the middle of the cameras, that observed walls fill."""
    longest: float
    """The longest observed wall, as a share of the perimeter."""
    explained: float
    """Share of the observed surface that lies on floor, ceiling and walls."""
    ceiling: float
    """Share of the plan above which ceiling was seen."""
    floor: float
    """Share of the plan where floor was seen."""


def evidence(layout: RoomLayout, surfaces: Surfaces) -> RoomEvidence:
    """Count what was seen of the layout; surfaces in the layout's frame and in metres."""
    eye = surfaces.centers[:, :2].mean(0)
    on_shell = np.zeros(len(surfaces.xyz), bool)
    horizon = np.zeros(360, bool)
    facing: list[np.ndarray] = []
    for wall in layout.walls:
        line = Line(float(np.arctan2(wall.normal[1], wall.normal[0])), float(wall.normal @ wall.start))
        near = on_edge(line, wall.start, wall.end, surfaces, tol.SHELL_REACH_M)
        on_shell |= near
        ray = surfaces.xyz[near, :2] - eye
        horizon[np.degrees(np.arctan2(ray[:, 1], ray[:, 0])).astype(int) % 360] = True
        if wall.observed and all(wall.normal @ other < np.cos(np.radians(tol.MIN_FACING_DEG)) for other in facing):
            facing.append(wall.normal)
    shares = []
    for slab, sign in ((layout.floor, 1), (layout.ceiling, -1)):
        level = np.abs(surfaces.xyz[:, 2] - slab.height) < tol.SHELL_REACH_M
        level &= slab.observed & (sign * surfaces.normal[:, 2] > tol.LEVEL_COSINE)
        on_shell |= level
        cells = np.unique(np.floor(surfaces.xyz[level, :2] / tol.SHELL_CELL_M), axis=0)
        shares.append(len(cells) * tol.SHELL_CELL_M**2 / layout.area)
    return RoomEvidence(
        len(facing),
        float(horizon.sum()),
        max((wall.length for wall in layout.walls if wall.observed), default=0.0) / layout.perimeter,
        float(surfaces.weight[on_shell].sum() / surfaces.weight.sum()),
        ceiling=shares[1],
        floor=shares[0],
    )


def check(found: RoomEvidence) -> None:
    """Raise NoRoomError where the evidence is too thin."""
    covered = found.ceiling >= (tol.MIN_CEILING if found.floor else tol.MIN_CEILING_ALONE)
    if not (found.floor or covered):
        raise NoRoomError("no floor and hardly any ceiling is seen")
    if found.directions < 2:
        raise NoRoomError("walls are seen in one direction only")
    if found.longest < tol.MIN_LONGEST:
        raise NoRoomError(f"no wall that is seen is longer than {100 * found.longest:.0f} % of what would go around")
    if found.explained < tol.MIN_EXPLAINED:
        raise NoRoomError(f"only {100 * found.explained:.0f} % of what is seen lies on floor, ceiling or walls")
    if found.enclosed_deg < (tol.MIN_ENCLOSED_DEG if covered else tol.MIN_ENCLOSED_OPEN_DEG):
        above = "" if covered else ", and no ceiling is seen"
        raise NoRoomError(f"walls fill only {found.enclosed_deg:.0f} degrees of the horizon{above}")
