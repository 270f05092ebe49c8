"""Open doors and windows: holes in the walls, and what is seen through them. Metres; z up, the floor is z = 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fewview.data.gallery import textures
from fewview.data.gallery.layout import Layout, Placed, contains, overlap, walls
from fewview.data.gallery.solids import Face
from fewview.data.gallery.textures import Texture

KINDS = ("door", "window")
REVEAL_M = 0.15
"""Thickness of the walls, seen where they are cut."""
DEEP_M = {"door": (1.5, 2.6), "window": (3.0, 5.0)}
"""How far the hall behind a door reaches, and the outdoors behind a window."""
_INSET_M = 0.05
"""By which that space is narrower than the wall: its sides must not lie on other walls."""
_LAP_M = 1e-4
"""By which faces of one plane overlap, so that no ray slips between them."""


@dataclass(frozen=True)
class Hole:
    """A rectangle that is missing from a wall."""

    kind: str
    wall: int
    start: float
    """Along the wall, from its start."""
    end: float
    low: float
    """Above the floor."""
    high: float


def find_holes(layout: Layout) -> list[Hole]:
    """Doors and windows as rectangles on their walls, whether they are open or not."""
    return [_hole(layout.polygon, placed) for placed in layout.openings if placed.piece.kind in KINDS]


def open_up(rng: np.random.Generator, layout: Layout) -> Layout:
    """The room with its doors and windows open; those behind whose wall there is no space are left out."""
    sides = walls(layout.polygon)
    spaces: dict[int, tuple[np.ndarray, float]] = {}
    for hole in find_holes(layout):
        if hole.wall not in spaces:
            depth = float(rng.uniform(*DEEP_M[hole.kind]))
            outline = _outline(*sides[hole.wall], depth)
            if any(overlap(outline, other) for other, _ in spaces.values()) or _inside(layout.polygon, outline):
                continue
            spaces[hole.wall] = outline, depth
    openings = [p for p in layout.openings if p.piece.kind not in KINDS or _hole(layout.polygon, p).wall in spaces]
    return replace(layout, openings=tuple(openings), beyond={wall: depth for wall, (_, depth) in spaces.items()})


def pierce(face: Face, holes: Sequence[Hole]) -> list[Face]:
    """A wall's face without its holes: pieces of one texture.

    Args:
        face: runs from the wall's end to its start, as the gallery builds walls.
        holes: of this wall, apart from one another.
    """
    length, height = face.size
    out, done = [], 0.0

    def add(s0: float, s1: float, z0: float, z1: float) -> None:
        if s1 > s0 and z1 > z0:
            out.append(replace(face, outline=np.array([[s0, z0], [s1, z0], [s1, z1], [s0, z1]])))

    for hole in sorted(holes, key=lambda hole: -hole.end):
        s0, s1 = length - hole.end, length - hole.start
        add(done, s0, 0.0, height)
        add(s0 - _LAP_M, s1 + _LAP_M, 0.0, hole.low)
        add(s0 - _LAP_M, s1 + _LAP_M, hole.high, height)
        done = s1
    add(done, length, 0.0, height)
    return out


def behind(
    rng: np.random.Generator,
    wall: tuple[np.ndarray, np.ndarray, np.ndarray],
    holes: Sequence[Hole],
    depth: float,
    height: float,
    instance: int,
) -> list[Face]:
    """Reveals of a wall's holes, and the closed space behind it: a hall where there is a door, else the outdoors."""
    a, b, normal = wall
    length = float(np.linalg.norm(b - a))
    white = textures.plain(np.array([0.85, 0.84, 0.8]))
    cell = _Cell(a, (b - a) / length, normal, instance)
    wide, out = (_INSET_M, length - _INSET_M), []
    for hole in holes:
        bottom = None if hole.low == 0 else white
        out += cell.inner((hole.start, hole.end), (0.0, REVEAL_M), (hole.low, hole.high), white, white, bottom, None)
    if any(hole.kind == "door" for hole in holes):
        paper = textures.plaster(rng, length, height)
        floor = textures.planks(rng, length, depth)
        return out + cell.inner(wide, (0.0, depth), (0.0, height), paper, paper, floor, paper)
    view = textures.make_texture(textures.landscape(rng))
    meadow = textures.fabric(rng, (0.3, 0.5))
    sky = textures.plain(np.array([0.7, 0.8, 0.92]))
    tall = (-0.6, height + 1.5)
    return out + cell.inner(wide, (0.0, depth), tall, view, sky, meadow, view, emission=0.8)


@dataclass(frozen=True)
class _Cell:
    """Boxes behind a wall, seen from within; t along the wall, y away from the room, z up."""

    origin: Float[np.ndarray, " 2"]
    along: Float[np.ndarray, " 2"]
    normal: Float[np.ndarray, " 2"]
    instance: int

    def inner(
        self,
        t: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        sides: Texture,
        top: Texture,
        bottom: Texture | None,
        far: Texture | None,
        emission: float = 0.0,
    ) -> list[Face]:
        """Faces of a box without the one on the wall, and without those that have no texture."""
        e, n, k = np.array([*self.along, 0]), np.array([*self.normal, 0]), np.array([0, 0, 1.0])
        across, deep, tall = t[1] - t[0], y[1] - y[0], z[1] - z[0]
        wanted = [
            ((t[0], y[1], z[0]), n, k, (deep, tall), sides),
            ((t[1], y[0], z[0]), -n, k, (deep, tall), sides),
            ((t[1], y[1], z[1]), -e, n, (across, deep), top),
            ((t[0], y[1], z[0]), e, n, (across, deep), bottom),
            ((t[1], y[1], z[0]), -e, k, (across, tall), far),
        ]
        start = np.array([*self.origin, 0])
        return [
            Face(start + s * e - d * n + h * k, u, v, size, texture, self.instance, emission=emission)
            for (s, d, h), u, v, size, texture in wanted
            if texture is not None
        ]


def _hole(polygon: Float[np.ndarray, "N 2"], placed: Placed) -> Hole:
    (box,) = placed.piece.boxes
    half, middle = placed.piece.width / 2, placed.frame.origin
    for index, (a, b, normal) in enumerate(walls(polygon)):
        at, length = (middle - a) @ (b - a) / np.linalg.norm(b - a), np.linalg.norm(b - a)
        if abs((middle - a) @ normal) < 1e-6 and 0 < at < length and placed.frame.forward @ normal > 0.99:
            return Hole(placed.piece.kind, index, at - half, at + half, box.low[2], box.high[2])
    raise ValueError(f"the {placed.piece.kind} hangs on no wall")


def _outline(a: np.ndarray, b: np.ndarray, normal: np.ndarray, depth: float) -> Float[np.ndarray, "4 2"]:
    """Of the space behind a wall, counterclockwise."""
    return np.stack([b, a, a - depth * normal, b - depth * normal])


def _inside(polygon: Float[np.ndarray, "N 2"], outline: Float[np.ndarray, "4 2"]) -> bool:
    """Whether the space reaches into the room."""
    share = np.linspace(0.02, 0.98, 25)
    u, v = (grid.reshape(-1, 1) for grid in np.meshgrid(share, share))
    return bool(contains(polygon, outline[0] + u * (outline[1] - outline[0]) + v * (outline[3] - outline[0])).any())
