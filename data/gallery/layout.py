"""The floor plan, and where things stand, hang and can be photographed from. Metres; z up, the floor is z
= 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from fewview.data.gallery import furniture
from fewview.data.gallery.furniture import Maker, Piece
from fewview.data.gallery.solids import Box, Frame, cross2
from fewview.data.gallery.textures import PICTURES, door, framed, picture, plain, window

Shape = Literal["rectangle", "l", "slanted", "t"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
"""The order seeds the rooms: new shapes go last."""
Walk = Literal["across", "around"]
"""How the photographer moves: along a line, looking across the room; or turning where they stand."""

WALL_GAP_M = 0.04
"""Between a piece and the wall behind it: more than a hanging picture is thick."""


@dataclass(frozen=True)
class Placed:
    """A piece and where it stands."""

    piece: Piece
    frame: Frame

    def corners(self, margin: float = 0.0) -> Float[np.ndarray, "4 2"]:
        """Footprint, counterclockwise, widened by `margin` on every side."""
        x, y = self.piece.width / 2 + margin, self.piece.depth + margin
        local = np.array([[-x, -margin, 0], [x, -margin, 0], [x, y, 0], [-x, y, 0]])
        return self.frame.world(local)[:, :2]


@dataclass(frozen=True)
class Stand:
    """The line along which the photographer walks."""

    start: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    target: Float[np.ndarray, " 2"]
    """What the photos look towards; for `around`, what the middle one does."""
    walk: Walk = "across"
    """For `around` the photographer turns on a circle whose diameter the line is."""

    def distance(self, points: Float[np.ndarray, "N 2"]) -> float:
        """Shortest distance from the line to any of the points."""
        along = self.end - self.start
        share = np.clip((points - self.start) @ along / max(along @ along, 1e-9), 0, 1)
        return float(np.linalg.norm(points - self.start - share[:, None] * along, axis=1).min())


@dataclass(frozen=True)
class Layout:
    polygon: Float[np.ndarray, "N 2"]
    """Floor, counterclockwise."""
    height: float
    openings: tuple[Placed, ...]
    """Doors, windows and pictures: thin boxes on the walls."""
    pieces: tuple[Placed, ...]
    """Furniture."""
    stand: Stand
    beyond: Mapping[int, float] = field(default_factory=dict)
    """Walls whose doors and windows are open, and how deep the space behind them is."""


def make_layout(rng: np.random.Generator, shape: Shape, views: int, walk: Walk = "across") -> Layout:
    """A furnished room of the asked shape, with room left for `views` photos to be taken."""
    polygon = _floor(rng, shape)
    height = rng.uniform(2.45, 2.75)
    around = walk == "around"
    stand = _turning_place(rng, polygon) if around else _stand(rng, polygon, views)
    openings = _doors_and_windows(rng, polygon, stand)
    pieces: list[Placed] = []

    def put(piece: Piece, propose: Callable[[Piece], Frame | None], tries: int) -> None:
        for _ in range(tries):
            frame = propose(piece)
            if frame is None:
                continue
            placed = Placed(piece, frame)
            if _stands_well(placed, polygon, stand, openings) and _free(placed, pieces, 0.06):
                pieces.append(placed)
                return

    by_the_wall = furniture.BY_THE_WALL + (furniture.LARGE_AND_SMALL if around else ())
    for kind in _shuffled(rng, by_the_wall):
        put(kind(rng), lambda piece: _by_a_wall(rng, polygon, piece), tries=60)
    for kind in _shuffled(rng, furniture.IN_THE_OPEN):
        put(kind(rng), lambda piece: _in_the_open(rng, polygon.mean(0), piece), tries=40)
    openings += _pictures(rng, polygon, openings, pieces)
    return Layout(polygon, height, tuple(openings), tuple(pieces), stand)


def walls(polygon: Float[np.ndarray, "N 2"]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(start, end, unit normal into the room) of every wall, in the order of the corners."""
    out = []
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        d = (b - a) / np.linalg.norm(b - a)
        out.append((a, b, np.array([-d[1], d[0]])))
    return out


def contains(polygon: Float[np.ndarray, "N 2"], points: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " P"]:
    """Even-odd rule."""
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            x = a[0] + (points[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        inside ^= crosses & (points[:, 0] < x)
    return inside


def overlap(a: Float[np.ndarray, "A 2"], b: Float[np.ndarray, "B 2"]) -> bool:
    """Whether two convex polygons have a common interior point (separating axes)."""
    for polygon in (a, b):
        for edge in np.roll(polygon, -1, 0) - polygon:
            axis = np.array([-edge[1], edge[0]])
            if (a @ axis).max() <= (b @ axis).min() or (b @ axis).max() <= (a @ axis).min():
                return False
    return True


def _floor(rng: np.random.Generator, shape: Shape) -> Float[np.ndarray, "N 2"]:
    w, d = rng.uniform(4.0, 5.2), rng.uniform(3.6, 4.6)
    if shape == "t":
        w, (left, right), b = w + 0.8, rng.uniform(0.22, 0.3, 2), rng.uniform(0.32, 0.42) * d
        left, right = left * w, (1 - right) * w
        return np.array([[0, 0], [w, 0], [w, d - b], [right, d - b], [right, d], [left, d], [left, d - b], [0, d - b]])
    if shape == "rectangle":
        return np.array([[0, 0], [w, 0], [w, d], [0, d]])
    a, b = rng.uniform(0.32, 0.42) * w, rng.uniform(0.32, 0.42) * d
    if shape == "l":
        return np.array([[0, 0], [w, 0], [w, d - b], [w - a, d - b], [w - a, d], [0, d]])
    return np.array([[0, 0], [w, 0], [w, d - b], [w - a, d], [0, d]])


def _stand(rng: np.random.Generator, polygon: Float[np.ndarray, "N 2"], views: int) -> Stand:
    """Along the wall y = 0 or across the corner at the origin; neighbouring photos .3 to .5 m apart."""
    w, d = polygon.max(0)
    if rng.random() < 0.5:
        middle, along = np.array([w / 2, rng.uniform(0.4, 0.6)]), np.array([1.0, rng.uniform(-0.1, 0.1)])
        target, longest = np.array([w * rng.uniform(0.45, 0.55), d * 0.8]), w - 1.4
    else:
        middle, along = np.array([1.05, 1.05]), np.array([1.0, -1.0])
        target, longest = np.array([w, d]) * rng.uniform(0.68, 0.76), 1.9
    along /= np.linalg.norm(along)
    half = 0.5 * min(longest, (views - 1) * rng.uniform(0.32, 0.42))
    return Stand(middle - half * along, middle + half * along, target)


def _turning_place(rng: np.random.Generator, polygon: Float[np.ndarray, "N 2"]) -> Stand:
    """Where all walls are seen from, not far from the middle of the wall y = 0."""
    w = polygon[:, 0].max()
    centre = np.array([w * rng.uniform(0.38, 0.54), rng.uniform(1.15, 1.45)])
    radius, turn = np.array([rng.uniform(0.5, 0.65), 0.0]), rng.uniform(-0.25, 0.25)
    return Stand(centre - radius, centre + radius, centre + np.array([np.sin(turn), np.cos(turn)]), "around")


def _doors_and_windows(rng: np.random.Generator, polygon: np.ndarray, stand: Stand) -> list[Placed]:
    """A door and two windows on walls that the photos see."""
    seen = [wall for wall in walls(polygon) if (stand.target - stand.start) @ wall[2] < 0.3]
    white = plain(np.array([0.85, 0.84, 0.8]))
    placed: list[Placed] = []
    for kind, width, low, high in (
        ("window", 1.25, 0.95, 2.05),
        ("door", 0.9, 0.0, 2.0),
        ("window", 0.95, 0.95, 2.05),
    ):
        view = door(rng) if kind == "door" else window(rng)
        box = Box((-width / 2, 0, low), (width / 2, 0.03, high), white, {"front": view}, 0.9 * (kind == "window"))
        piece = Piece(kind, width, 0.03, (box,))
        for _ in range(20):
            frame = _on_wall(rng, seen[rng.integers(len(seen))], width / 2 + 0.15, gap=0)
            if frame is not None and _free(Placed(piece, frame), placed, 0.1):
                placed.append(Placed(piece, frame))
                break
    return placed


def _pictures(
    rng: np.random.Generator, polygon: np.ndarray, openings: list[Placed], pieces: list[Placed]
) -> list[Placed]:
    """Framed photographs where nothing tall stands before the wall."""
    tall = [placed for placed in pieces if placed.piece.height > 1.15]
    hung: list[Placed] = []
    for wall in walls(polygon):
        for _ in range(14):
            image = picture(PICTURES[rng.integers(len(PICTURES))])
            h = rng.uniform(0.4, 0.75)
            w = h * image.shape[1] / image.shape[0]
            low = rng.uniform(1.25, 2.1 - h)
            frame = _on_wall(rng, wall, w / 2 + 0.06, gap=0)
            if frame is None:
                continue
            if not _free(Placed(Piece("picture", w, 0.025, ()), frame), openings + hung + tall, 0.08):
                continue
            frame_sides = plain(np.full(3, 0.2))
            box = Box((-w / 2, 0, low), (w / 2, 0.025, low + h), frame_sides, {"front": framed(rng, image)})
            hung.append(Placed(Piece("picture", w, 0.025, (box,)), frame))
    return hung


def _on_wall(
    rng: np.random.Generator, wall: tuple[np.ndarray, np.ndarray, np.ndarray], half: float, gap: float
) -> Frame | None:
    a, b, normal = wall
    length = float(np.linalg.norm(b - a))
    if length <= 2 * half:
        return None
    return Frame(a + (b - a) / length * rng.uniform(half, length - half) + gap * normal, normal)


def _by_a_wall(rng: np.random.Generator, polygon: np.ndarray, piece: Piece) -> Frame | None:
    choices = walls(polygon)
    return _on_wall(rng, choices[rng.integers(len(choices))], piece.width / 2 + 0.05, WALL_GAP_M)


def _in_the_open(rng: np.random.Generator, centre: np.ndarray, piece: Piece) -> Frame:
    angle = rng.choice([0, 0.5, 1, 1.5]) * np.pi + rng.normal(0, 0.12)
    forward = np.array([np.cos(angle), np.sin(angle)])
    return Frame(centre + rng.uniform(-1.3, 1.3, 2) - forward * piece.depth / 2, forward)


def _stands_well(placed: Placed, polygon: np.ndarray, stand: Stand, openings: list[Placed]) -> bool:
    """Inside the room, out of the photographer's way, not before a door, not tall before a window."""
    around = placed.corners(0.02)
    along, across = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    samples = around[0] + along.reshape(-1, 1) * (around[1] - around[0])
    samples = samples + across.reshape(-1, 1) * (around[3] - around[0])
    corner_inside = any(_in_convex(corner, around) for corner in polygon)
    if corner_inside or not contains(polygon, samples).all():
        return False
    room = 0.55 if placed.piece.height < 0.6 else 1.25
    if stand.distance(samples) < room:
        return False
    for opening in openings:
        blocked = opening.piece.kind == "door" or placed.piece.height > 0.95
        if blocked and overlap(around, opening.corners(0.0) + _clearance(opening)):
            return False
    return True


def _clearance(opening: Placed) -> Float[np.ndarray, "4 2"]:
    """Moves the front edge of an opening's footprint .7 m into the room."""
    return np.array([[0], [0], [0.7], [0.7]]) * opening.frame.forward


def _free(placed: Placed, others: list[Placed], margin: float) -> bool:
    around = placed.corners(margin)
    return not any(overlap(around, other.corners()) for other in others)


def _in_convex(point: np.ndarray, polygon: np.ndarray) -> bool:
    return bool((cross2(np.roll(polygon, -1, 0) - polygon, point - polygon) > 0).all())


def _shuffled(rng: np.random.Generator, things: Sequence[Maker]) -> list[Maker]:
    return [things[i] for i in rng.permutation(len(things))]
