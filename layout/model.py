"""What a room layout is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry import Polygon

OpeningKind = Literal["door", "window", "opening"]


@dataclass(frozen=True)
class Opening:
    """A rectangle on a wall."""

    kind: OpeningKind
    start: float
    """From the wall's start to the nearer side, along the wall, room units."""
    end: float
    low: float
    """Above the floor."""
    high: float
    confidence: float


@dataclass(frozen=True)
class Wall:
    """An upright rectangle over one edge of the floor; seen from inside, it runs from right to left."""

    start: Float[np.ndarray, " 2"]
    """Plan of the room frame; the room lies to the left of start -> end."""
    end: Float[np.ndarray, " 2"]
    observed: bool
    """Surface was seen on it; else it is inferred: something must close the room there."""
    confidence: float
    """Share of its length on which surface supports it, in [0, 1]."""
    openings: tuple[Opening, ...] = ()

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.end - self.start))

    @property
    def direction(self) -> Float[np.ndarray, " 2"]:
        return (self.end - self.start) / self.length

    @property
    def normal(self) -> Float[np.ndarray, " 2"]:
        """Unit, into the room."""
        x, y = self.direction
        return np.array([-y, x])


@dataclass(frozen=True)
class Slab:
    """Floor or ceiling."""

    height: float
    """Room frame."""
    observed: bool
    confidence: float
    """Share of its area that was seen, in [0, 1]."""


@dataclass(frozen=True)
class RoomLayout:
    """A room as a prism. Room frame: X_room = R_room_world X_world, z up, units of the scene."""

    R_room_world: Float[np.ndarray, "3 3"]
    walls: tuple[Wall, ...]
    """In order, counterclockwise from above; each ends where the next starts."""
    floor: Slab
    ceiling: Slab

    @property
    def polygon(self) -> Float[np.ndarray, "N 2"]:
        return np.stack([wall.start for wall in self.walls])

    @property
    def height(self) -> float:
        return self.ceiling.height - self.floor.height

    @property
    def area(self) -> float:
        return float(Polygon(self.polygon).area)

    @property
    def perimeter(self) -> float:
        return float(shapely.length(Polygon(self.polygon)))

    def planes(self) -> Float[np.ndarray, "P 4"]:
        """(n, d) with n . X + d = 0 in the **world**, n into the room: floor, ceiling, then the walls."""
        rows = [[0, 0, 1, -self.floor.height], [0, 0, -1, self.ceiling.height]]
        rows += [[*wall.normal, 0, -wall.normal @ wall.start] for wall in self.walls]
        planes = np.array(rows, np.float64)
        planes[:, :3] = planes[:, :3] @ self.R_room_world
        return planes

    def opening_corners(self) -> Float[np.ndarray, "O 4 3"]:
        """Corners of all openings in the **world**, along the foot, then back along the top."""
        corners = [
            [[*(wall.start + t * wall.direction), self.floor.height + z] for t, z in (
                (o.start, o.low), (o.end, o.low), (o.end, o.high), (o.start, o.high)
            )]
            for wall in self.walls for o in wall.openings
        ]  # fmt: skip
        return np.array(corners).reshape(-1, 4, 3) @ self.R_room_world

    def moved(self, moves: Float[np.ndarray, " P"]) -> RoomLayout:
        """The room with its floor, ceiling and walls moved along +z, +z and the walls' normals; directions stay."""
        corners = []
        for index, wall in enumerate(self.walls):
            pair = [index - 1, index]
            normals = np.stack([self.walls[i].normal for i in pair])
            corners.append(wall.start + np.linalg.solve(normals, moves[2:][pair]))
        ends = [*corners[1:], corners[0]]
        walls = tuple(replace(w, start=a, end=b) for w, a, b in zip(self.walls, corners, ends, strict=True))
        slabs = [replace(slab, height=slab.height + float(move))
                 for slab, move in zip((self.floor, self.ceiling), moves[:2], strict=True)]  # fmt: skip
        return RoomLayout(self.R_room_world, walls, *slabs)

    def scaled(self, factor: float) -> RoomLayout:
        """The same room in other units."""
        walls = tuple(
            Wall(
                wall.start * factor,
                wall.end * factor,
                wall.observed,
                wall.confidence,
                tuple(
                    Opening(o.kind, o.start * factor, o.end * factor, o.low * factor, o.high * factor, o.confidence)
                    for o in wall.openings
                ),
            )
            for wall in self.walls
        )
        slabs = [Slab(s.height * factor, s.observed, s.confidence) for s in (self.floor, self.ceiling)]
        return RoomLayout(self.R_room_world, walls, *slabs)
