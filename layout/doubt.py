"""Whether what was found is a room at all: no walls are invented around a facade, a garden or an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layout.model import RoomLayout
from layout.polygon import on_edge
from layout.surfaces import Surfaces
from layout.walls import Line

MIN_EXPLAINED = 0.3
MIN_ENCLOSED_DEG = 120.0
REACH_M = 0.1


class NoRoomError(Exception):
    """The photos show no room; the message is the reason, in words for the user."""


@dataclass(frozen=True)
class RoomEvidence:
    """What speaks for a room."""

    directions: int
    """Observed walls that differ by more than 30 degrees in where they face."""
    enclosed_deg: float
    """Of the horizon around the middle of the cameras, that observed walls fill."""
    explained: float
    """Share of the observed surface that lies on floor, ceiling and walls."""
    ceiling: bool
    floor: bool


def evidence(layout: RoomLayout, surfaces: Surfaces) -> RoomEvidence:
    """Count what was seen of the layout; surfaces in the layout's frame and in metres."""
    eye = surfaces.centers[:, :2].mean(0)
    on_shell = np.zeros(len(surfaces.xyz), bool)
    horizon = np.zeros(360, bool)
    facing: list[np.ndarray] = []
    for wall in layout.walls:
        line = Line(float(np.arctan2(wall.normal[1], wall.normal[0])), float(wall.normal @ wall.start))
        near = on_edge(line, wall.start, wall.end, surfaces, REACH_M)
        on_shell |= near
        ray = surfaces.xyz[near, :2] - eye
        horizon[np.degrees(np.arctan2(ray[:, 1], ray[:, 0])).astype(int) % 360] = True
        if wall.observed and all(wall.normal @ other < np.cos(np.radians(30)) for other in facing):
            facing.append(wall.normal)
    for slab, sign in ((layout.floor, 1), (layout.ceiling, -1)):
        level = (np.abs(surfaces.xyz[:, 2] - slab.height) < REACH_M) & (sign * surfaces.normal[:, 2] > 0.9)
        on_shell |= level & slab.observed
    return RoomEvidence(
        len(facing),
        float(horizon.sum()),
        float(surfaces.weight[on_shell].sum() / surfaces.weight.sum()),
        layout.ceiling.observed,
        layout.floor.observed,
    )


def check(found: RoomEvidence) -> None:
    """Raise NoRoomError where the evidence is too thin."""
    if not (found.floor or found.ceiling):
        raise NoRoomError("neither a floor nor a ceiling is seen")
    if found.directions < 2:
        raise NoRoomError("walls are seen in one direction only")
    if found.explained < MIN_EXPLAINED:
        raise NoRoomError(f"only {100 * found.explained:.0f} % of what is seen lies on floor, ceiling or walls")
    if found.directions < 3 and not found.ceiling:
        raise NoRoomError("no ceiling is seen, and walls on two sides only")
    if found.enclosed_deg < MIN_ENCLOSED_DEG:
        raise NoRoomError(f"walls fill only {found.enclosed_deg:.0f} degrees of the horizon")
