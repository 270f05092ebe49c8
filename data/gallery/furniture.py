"""Pieces of furniture composed of boxes, each in its own frame (back at y = 0, standing on z = 0), metres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fewview.data.gallery.solids import Box
from fewview.data.gallery.textures import (
    PICTURES,
    Rgb,
    Texture,
    colour,
    drawers,
    fabric,
    framed,
    make_texture,
    picture,
    plain,
    rug,
    spine,
    wood,
)


@dataclass(frozen=True)
class Piece:
    """One piece of furniture, centred on x = 0."""

    kind: str
    width: float
    depth: float
    boxes: tuple[Box, ...]

    @property
    def height(self) -> float:
        return max(box.high[2] for box in self.boxes)


Maker = Callable[[np.random.Generator], Piece]


def bookshelf(rng: np.random.Generator) -> Piece:
    """Boards between two sides, with rows of books."""
    w, d, h = rng.uniform(0.8, 1.25), rng.uniform(0.28, 0.34), rng.uniform(1.5, 1.95)
    timber, spines = wood(rng), [spine(rng) for _ in range(9)]
    t, half = 0.025, w / 2
    boxes = [
        Box((-half, 0, 0), (-half + t, d, h), timber),
        Box((half - t, 0, 0), (half, d, h), timber),
        Box((-half + t, 0, 0.0), (half - t, 0.015, h), timber),
    ]
    levels = np.linspace(0.08, h - t, 5)
    for z in levels:
        boxes.append(Box((-half + t, 0.015, z), (half - t, d, z + t), timber))
    for z, above in zip(levels[:-1] + t, levels[1:], strict=True):
        x = -half + t + rng.uniform(0.0, 0.1)
        while x < half - t - 0.12:
            thick, tall = rng.uniform(0.025, 0.07), rng.uniform(0.55, 0.92) * (above - z)
            cover = spines[rng.integers(len(spines))]
            boxes.append(Box((x, 0.03, z), (x + thick, d - rng.uniform(0.02, 0.09), z + tall), cover))
            x += thick + (0.002 if rng.random() < 0.9 else rng.uniform(0.05, 0.2))
    return Piece("bookshelf", w, d, tuple(boxes))


def sofa(rng: np.random.Generator) -> Piece:
    w, d = rng.uniform(1.6, 2.1), rng.uniform(0.8, 0.92)
    cloth, cushion, half = fabric(rng), fabric(rng, (0.35, 0.8)), w / 2
    arm, seat, mid = 0.2, 0.42, 0.0
    boxes = [
        Box((-half, 0, 0), (-half + arm, d, 0.6), cloth),
        Box((half - arm, 0, 0), (half, d, 0.6), cloth),
        Box((-half + arm, 0, 0), (half - arm, 0.24, 0.82), cloth),
        Box((-half + arm, 0.24, 0), (mid - 0.01, d - 0.02, seat), cloth),
        Box((mid + 0.01, 0.24, 0), (half - arm, d - 0.02, seat), cloth),
    ]
    for x in (-half + arm + 0.05, mid + 0.12):
        boxes.append(Box((x, 0.25, seat), (x + 0.4, 0.38, seat + 0.36), cushion))
    return Piece("sofa", w, d, tuple(boxes))


def bed(rng: np.random.Generator) -> Piece:
    w, d = rng.uniform(1.2, 1.6), rng.uniform(1.95, 2.05)
    timber, sheet, blanket, half = wood(rng), fabric(rng, (0.7, 0.85)), fabric(rng), w / 2
    boxes = [
        Box((-half, 0, 0), (half, 0.06, 0.95), timber),
        Box((-half, 0.06, 0), (half, d, 0.28), timber),
        Box((-half + 0.03, 0.06, 0.28), (half - 0.03, d - 0.03, 0.46), sheet),
        Box((-half + 0.01, 0.7, 0.285), (half - 0.01, d - 0.01, 0.5), blanket),
    ]
    for x in (-half + 0.08, 0.04):
        boxes.append(Box((x, 0.1, 0.46), (x + half - 0.14, 0.48, 0.58), sheet))
    return Piece("bed", w, d, tuple(boxes))


def _photograph(rng: np.random.Generator) -> Rgb:
    return picture(PICTURES[rng.integers(len(PICTURES))])


def desk(rng: np.random.Generator) -> Piece:
    """A table with a screen and things on it."""
    w, d = rng.uniform(1.1, 1.5), rng.uniform(0.6, 0.75)
    boxes = [*_table(rng, w, d, 0.74)]
    screen = make_texture(_photograph(rng))
    dark = plain(np.array([0.12, 0.12, 0.13]))
    x = rng.uniform(-0.2, 0.2)
    boxes.append(Box((x - 0.08, 0.12, 0.74), (x + 0.08, 0.3, 0.76), dark))
    boxes.append(Box((x - 0.02, 0.18, 0.76), (x + 0.02, 0.2, 0.9), dark))
    boxes.append(Box((x - 0.28, 0.2, 0.85), (x + 0.28, 0.225, 1.2), dark, {"front": screen}, emission=0.35))
    boxes += _things(rng, -w / 2 + 0.08, x - 0.32, d, 0.74) + _things(rng, x + 0.32, w / 2 - 0.08, d, 0.74)
    return Piece("desk", w, d, tuple(boxes))


def low_table(rng: np.random.Generator) -> Piece:
    w, d, h = rng.uniform(0.8, 1.1), rng.uniform(0.5, 0.65), rng.uniform(0.38, 0.46)
    return Piece("table", w, d, tuple([*_table(rng, w, d, h), *_things(rng, -w / 2 + 0.1, w / 2 - 0.1, d, h)]))


def cabinet(rng: np.random.Generator) -> Piece:
    w, d, h = rng.uniform(0.8, 1.4), rng.uniform(0.38, 0.48), rng.uniform(0.75, 1.05)
    front = drawers(rng, int(rng.integers(2, 4)), int(rng.integers(2, 4)))
    body = Box((-w / 2, 0, 0), (w / 2, d, h), wood(rng), {"front": front})
    return Piece("cabinet", w, d, (body, *_things(rng, -w / 2 + 0.05, w / 2 - 0.05, d, h)))


def wardrobe(rng: np.random.Generator) -> Piece:
    w, d, h = rng.uniform(0.9, 1.4), rng.uniform(0.52, 0.6), rng.uniform(1.85, 2.05)
    front = drawers(rng, 2, 3)
    return Piece("wardrobe", w, d, (Box((-w / 2, 0, 0), (w / 2, d, h), wood(rng), {"front": front}),))


def carpet(rng: np.random.Generator) -> Piece:
    w, d = rng.uniform(1.3, 1.7), rng.uniform(0.9, 1.2)
    pattern = rug(rng)
    return Piece("rug", w, d, (Box((-w / 2, 0, 0), (w / 2, d, 0.012), fabric(rng), {"top": pattern}),))


def box_with_picture(rng: np.random.Generator) -> Piece:
    """A crate whose sides show photographs."""
    w, d, h = rng.uniform(0.4, 0.6, 3)
    sides = {side: framed(rng, _photograph(rng)) for side in ("front", "left", "right", "top")}
    return Piece("crate", w, d, (Box((-w / 2, 0, 0), (w / 2, d, h), wood(rng), sides),))


def wall_unit(rng: np.random.Generator) -> Piece:
    """Fitted cupboards, up to 3 m wide and nearly as high as the room."""
    w, d, h = rng.uniform(2.2, 3.0), rng.uniform(0.4, 0.55), rng.uniform(2.05, 2.3)
    front = drawers(rng, int(rng.integers(4, 6)), int(rng.integers(3, 5)))
    return Piece("wall unit", w, d, (Box((-w / 2, 0, 0), (w / 2, d, h), wood(rng), {"front": front}),))


def dice(rng: np.random.Generator) -> Piece:
    """Toys on the floor, 5 cm wide."""
    boxes = [Box((x, y, 0), (x + 0.05, y + 0.05, 0.05), _speckled(rng)) for x, y in rng.uniform(-0.1, 0.3, (4, 2))]
    return Piece("toy", 0.7, 0.35, tuple(boxes))


BY_THE_WALL: tuple[Maker, ...] = (
    bookshelf, sofa, bed, desk, cabinet, wardrobe, bookshelf, cabinet,
)  # fmt: skip
LARGE_AND_SMALL: tuple[Maker, ...] = (wall_unit, dice)
IN_THE_OPEN: tuple[Maker, ...] = (low_table, carpet, box_with_picture)


def _table(rng: np.random.Generator, w: float, d: float, h: float) -> list[Box]:
    timber, leg, half = wood(rng), 0.055, w / 2
    boxes = [Box((-half, 0, h - 0.035), (half, d, h), timber)]
    for x in (-half + 0.03, half - 0.03 - leg):
        for y in (0.03, d - 0.03 - leg):
            boxes.append(Box((x, y, 0), (x + leg, y + leg, h - 0.035), timber))
    return boxes


def _things(rng: np.random.Generator, left: float, right: float, depth: float, z: float) -> list[Box]:
    """Small objects in a row: books lying, boxes, a framed photograph."""
    boxes: list[Box] = []
    x = left
    while x + 0.3 < right:
        y = rng.uniform(0.06, max(0.07, depth - 0.32))
        match rng.integers(3):
            case 0:
                top = z
                for _ in range(int(rng.integers(2, 5))):
                    thick = rng.uniform(0.02, 0.045)
                    cover = spine(rng)
                    shift = rng.uniform(0, 0.03)
                    boxes.append(Box((x + shift, y, top), (x + shift + 0.2, y + 0.22, top + thick), cover))
                    top += thick
            case 1:
                size = rng.uniform(0.09, 0.17)
                tint = _speckled(rng)
                boxes.append(Box((x, y, z), (x + size, y + size, z + rng.uniform(0.12, 0.32)), tint))
            case _:
                photo = framed(rng, _photograph(rng))
                boxes.append(Box((x, y, z), (x + 0.24, y + 0.03, z + 0.24), wood(rng), {"front": photo}))
        x += rng.uniform(0.28, 0.45)
    return boxes


def _speckled(rng: np.random.Generator) -> Texture:
    """Glazed pottery."""
    shade = rng.standard_normal((96, 96, 1)).astype(np.float32)
    return make_texture(colour(rng, (0.3, 0.7), 0.35) + 0.07 * shade, 300)
