"""Places where things look alike that are not the same: equal windows, columns, posters, tiles, papered walls.

Matchers tie photos of them wrongly, and the exact depth tells which matches are wrong. Metres, z up, the floor is
z = 0; outdoor things are models at a fifth of their size, under a painted sky.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from fewview.data.gallery import textures
from fewview.data.gallery.render import Light, Renderer
from fewview.data.gallery.room import Shot, take
from fewview.data.gallery.solids import Box, Face, Frame, faces
from fewview.data.gallery.textures import Rgb, Texture
from fewview.data.gallery.viewpoints import rotation
from fewview.recon.scene import Camera, View

Deceit = Literal["tower", "facade", "columns", "twins", "mosaic", "turntable", "spot"]
DECEITS: tuple[Deceit, ...] = get_args(Deceit)

_SKY = 7.0
"""Half the width of the box that outdoor things stand in."""


def deceive(kind: Deceit, seed: int, views: int = 8, size: tuple[int, int] = (640, 480)) -> list[Shot]:
    """Photos of a place that deceives; equal arguments give equal bytes.

    Args:
        kind: `tower`: four sides of equal windows, from all around; `facade`: rows of equal windows, along it;
            `columns`: a row of equal columns; `twins`: a room with the same furniture, posters and screens twice;
            `mosaic`: a room whose floor and walls repeat; `turntable`: a box of similar sides before a plain ground;
            `spot`: a room from one spot, the camera turned and zoomed.

    Raises:
        ValueError: an argument is out of range.
    """
    if kind not in DECEITS:
        raise ValueError(f"kind is {kind!r}, not one of {', '.join(DECEITS)}")
    if views < 1 or min(size) < 16:
        raise ValueError(f"cannot take {views} photos of {size[0]}x{size[1]} pixels")
    rng = np.random.default_rng([seed, DECEITS.index(kind)])
    parts, lights, poses = _PLACES[kind](rng, views)
    width, height = size
    zooms = rng.uniform(1, 2.6, views) if kind == "spot" else np.ones(views)
    focal = 0.5 * width / np.tan(np.radians(rng.uniform(50, 70)) / 2)
    shots = []
    for k, (T, zoom) in enumerate(zip(poses, zooms, strict=True)):
        camera = Camera(width, height, focal * zoom, focal * zoom, width / 2, height / 2)
        shots.append(View(f"{kind}_{k:02d}.jpg", camera, T))
    return take(rng, Renderer(parts, lights), shots)


Place = tuple[list[Face], list[Light], list[Float[np.ndarray, "4 4"]]]


def _tower(rng: np.random.Generator, views: int) -> Place:
    half, height = rng.uniform(0.5, 0.7), rng.uniform(2.2, 3.2)
    sides = _windowed_sides(rng, 4, (2 * half, height), rows=int(rng.integers(4, 7)), columns=int(rng.integers(2, 4)))
    box = _box(rng, (-half, -half, 0), (half, half, height), sides)
    around = np.linspace(0, 2 * np.pi, views, endpoint=False) + rng.normal(0, 0.1, views)
    poses = [
        _looking(rng, [d * np.cos(a), d * np.sin(a), 0.35], [0, 0, height * 0.45])
        for a, d in zip(around, rng.uniform(3.2, 3.8, views), strict=True)
    ]
    return _outdoors(rng) + box, [], poses


def _facade(rng: np.random.Generator, views: int) -> Place:
    width, height = 7.0, rng.uniform(1.6, 2.4)
    side = _windowed_sides(rng, 1, (width, height), rows=3, columns=int(rng.integers(10, 14)))[0]
    body = textures.plaster(rng, 2, 2)
    box = _box(rng, (-width / 2, 0, 0), (width / 2, 0.8, height), [side, body, body, body])
    along = np.linspace(-2.4, 2.4, views)
    poses = [
        _looking(rng, [x, -rng.uniform(1.6, 2.4), 0.4], [x + rng.normal(0, 0.4), 0, height * rng.uniform(0.4, 0.55)])
        for x in along
    ]
    return _outdoors(rng) + box, [], poses


def _columns(rng: np.random.Generator, views: int) -> Place:
    ring = [textures.plaster(rng, 0.4, 2, contrast=0.1)] * 10
    if rng.random() < 0.5:
        ring = [_carved(rng)] * 10
    parts = _outdoors(rng)
    for x in np.linspace(-2, 2, 5):
        parts += _prism(np.array([x, 0.0]), 0.22, 1.8, ring)
    along = np.linspace(-2.2, 2.2, views)
    poses = [_looking(rng, [x, -rng.uniform(1.8, 2.6), 0.5], [x + rng.normal(0, 0.5), 0, 0.8]) for x in along]
    return parts, [], poses


def _twins(rng: np.random.Generator, views: int) -> Place:
    parts, lights, (width, depth) = _room(rng, papers=[textures.plaster(rng, 6, 2.6) for _ in range(4)])
    front = textures.drawers(rng, 2, int(rng.integers(2, 4)))
    body = textures.wood(rng)
    posters = [textures.framed(rng, textures.picture(name)) for name in rng.choice(textures.PICTURES, 3, replace=False)]
    places = [(0, -depth / 2, 0, 1), (0, depth / 2, 0, -1), (-width / 2, 0, 1, 0), (width / 2, 0, -1, 0)]
    for k, (x, y, fx, fy) in enumerate(places):
        frame = Frame(np.array([x, y + 0.0]), np.array([fx, fy + 0.0]))
        shift = rng.uniform(-0.6, 0.6)
        parts += faces(
            Box((shift - 0.5, 0.001, 0), (shift + 0.5, 0.45, 0.9), body, {"front": front}), frame, 20 + k, rng
        )
        poster = posters[0] if k < 3 else posters[1]
        glow = 0.6 if k < 2 else 0.0  # two of them are screens
        at = shift + rng.uniform(-0.2, 0.2)
        parts += faces(
            Box((at - 0.45, 0.001, 1.15), (at + 0.45, 0.04, 1.85), body, {"front": poster}, glow), frame, 30 + k, rng
        )
        if k == 0:
            own = Box((-1.9, 0.001, 1.2), (-1.2, 0.04, 1.8), body, {"front": posters[2]})
            parts += faces(own, frame, 40, rng)
    return parts, lights, _turning(rng, views, 0.9)


def _mosaic(rng: np.random.Generator, views: int) -> Place:
    paper = _repeating_paper(rng)
    parts, lights, (width, _) = _room(rng, papers=[paper] * 4, floor=_mosaic_tiles(rng))
    picture = textures.framed(rng, textures.picture(str(rng.choice(textures.PICTURES))))
    frame = Frame(np.array([-width / 2, 0.0]), np.array([1.0, 0.0]))
    parts += faces(Box((-0.5, 0.001, 1.1), (0.4, 0.04, 1.8), textures.wood(rng), {"front": picture}), frame, 30, rng)
    cabinet = Box((-0.4, 0.5, 0), (0.4, 0.9, 0.8), textures.wood(rng), {"front": textures.drawers(rng, 2, 2)})
    parts += faces(cabinet, frame, 31, rng)
    return parts, lights, _turning(rng, views, 1.2)


def _turntable(rng: np.random.Generator, views: int) -> Place:
    grey = textures.plain(np.array([0.6, 0.6, 0.62]))
    parts = _shell(3.0, 3.0, [grey] * 4, grey, grey, 0.3)
    label, colour = textures.rug(rng), textures.colour(rng, (0.4, 0.7), 0.2)
    sides = [label, _striped(rng, colour), label, _striped(rng, colour)]
    parts += _box(rng, (-0.25, -0.18, 0), (0.25, 0.18, rng.uniform(0.4, 0.8)), sides)
    around = np.linspace(0, 2 * np.pi, views, endpoint=False)
    poses = [_looking(rng, [1.5 * np.cos(a), 1.5 * np.sin(a), 0.9], [0, 0, 0.25]) for a in around]
    return parts, [], poses


def _spot(rng: np.random.Generator, views: int) -> Place:
    parts, lights, (_, depth) = _room(rng, papers=[textures.wallpaper(rng, 6, 2.6) for _ in range(4)])
    frame = Frame(np.array([0.0, depth / 2]), np.array([0.0, -1.0]))
    for k, x in enumerate((-1.2, 0.0, 1.2)):
        box = Box((x - 0.3, 0.1, 0), (x + 0.3, 0.1 + rng.uniform(0.3, 1.2), 0.9), textures.wood(rng))
        parts += faces(box, frame, 30 + k, rng)
    at = np.array([*rng.uniform(-0.4, 0.4, 2), 1.5])
    yaws = np.pi / 2 + np.radians(np.linspace(-30, 30, views))
    pitches = np.radians(rng.normal(-6, 4, views))
    return (
        parts,
        lights,
        [_pose(at, yaw, pitch, np.radians(rng.normal(0, 1))) for yaw, pitch in zip(yaws, pitches, strict=True)],
    )


_PLACES: dict[Deceit, Callable[[np.random.Generator, int], Place]] = {
    "tower": _tower,
    "facade": _facade,
    "columns": _columns,
    "twins": _twins,
    "mosaic": _mosaic,
    "turntable": _turntable,
    "spot": _spot,
}


def _turning(rng: np.random.Generator, views: int, radius: float) -> list[np.ndarray]:
    """From near the middle of a room, outwards in all directions."""
    yaws = np.linspace(0, 2 * np.pi, views, endpoint=False) + rng.normal(0, 0.1, views)
    return [
        _pose(
            np.array([*rng.uniform(-radius, radius, 2), rng.normal(1.5, 0.06)]), yaw, np.radians(rng.normal(-8, 4)), 0
        )
        for yaw in yaws
    ]


def _looking(rng: np.random.Generator, at: Sequence[float], target: Sequence[float]) -> np.ndarray:
    way = np.array(target) - at
    yaw, pitch = np.arctan2(way[1], way[0]), np.arctan2(way[2], np.linalg.norm(way[:2]))
    return _pose(np.array(at), yaw, pitch, np.radians(rng.normal(0, 1.5)))


def _pose(at: np.ndarray, yaw: float, pitch: float, roll: float) -> Float[np.ndarray, "4 4"]:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation(yaw, pitch, roll), at
    return T


def _outdoors(rng: np.random.Generator) -> list[Face]:
    """Ground and horizon."""
    ground = textures.make_texture(
        textures.colour(rng, (0.4, 0.6), 0.08) + 0.05 * textures.noise(rng, 1400, 1400, 60)[..., None], 100
    )
    return _shell(_SKY, 4.0, [textures.make_texture(_horizon(rng)) for _ in range(4)], ground, None, 0.7)


def _horizon(rng: np.random.Generator) -> Rgb:
    """Trees below, a clear sky above."""
    rows, cols = 400, 1400
    image = np.tile(np.linspace(0.95, 0.75, rows)[::-1, None, None] * np.array([0.85, 0.93, 1.0]), (1, cols, 1))
    trees = np.arange(rows)[:, None] > rows * (0.82 + 0.04 * textures.noise(rng, 1, cols, 80, 3)[0])
    leaves = np.array([0.25, 0.38, 0.18]) * (1 + 0.35 * textures.noise(rng, rows, cols, 24))[..., None]
    image[trees] = leaves[trees]
    return image.astype(np.float32)


def _shell(
    half: float, height: float, papers: Sequence[Texture], floor: Texture, ceiling: Texture | None, glow: float
) -> list[Face]:
    """Floor, ceiling and four walls that look inwards."""
    ex, ey, ez = np.eye(3)
    a, size = half, (2 * half, 2 * half)
    above = ceiling or textures.plain(np.array([0.85, 0.93, 1.0]))
    parts = [
        Face(np.array([-a, -a, 0.0]), ex, ey, size, floor, 1),
        Face(np.array([a, -a, height]), -ex, ey, size, above, 2, emission=glow),
    ]
    corners = [(-a, -a), (a, -a), (a, a), (-a, a)]
    for k in range(4):
        start, end = np.array([*corners[k], 0.0]), np.array([*corners[(k + 1) % 4], 0.0])
        parts.append(Face(end, (start - end) / (2 * a), ez, (2 * a, height), papers[k], 3 + k, emission=glow))
    return parts


def _room(
    rng: np.random.Generator, papers: Sequence[Texture], floor: Texture | None = None
) -> tuple[list[Face], list[Light], tuple[float, float]]:
    """An empty square room with a lamp; also its width and depth."""
    half, height = rng.uniform(2.3, 3.0), 2.6
    under = floor or textures.planks(rng, 6, 6)
    ceiling = textures.plain(np.array([0.86, 0.86, 0.84]))
    light = Light(np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), height - 0.05]), 0.25, 3.0)
    return _shell(half, height, papers, under, ceiling, 0.0), [light], (2 * half, 2 * half)


def _box(
    rng: np.random.Generator,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    sides: Sequence[Texture],
) -> list[Face]:
    """An upright box: its sides counterclockwise from that which looks to -y."""
    names = ("back", "right", "front", "left")
    box = Box(low, high, textures.plaster(rng, 1, 1), dict(zip(names, sides, strict=True)))
    return faces(box, Frame(np.zeros(2), np.array([0.0, 1.0])), 10, rng)


def _prism(center: Float[np.ndarray, " 2"], radius: float, height: float, sides: Sequence[Texture]) -> list[Face]:
    """An upright column of flat sides."""
    angle = np.linspace(0, 2 * np.pi, len(sides), endpoint=False)
    rim = center + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    parts = []
    for k, side in enumerate(sides):
        start, end = np.array([*rim[k], 0.0]), np.array([*rim[(k + 1) % len(sides)], 0.0])
        length = float(np.linalg.norm(end - start))
        parts.append(Face(start, (end - start) / length, np.array([0, 0, 1.0]), (length, height), side, 11))
    top = np.array([*(center - radius), height])
    outline = rim - (center - radius)
    parts.append(Face(top, np.eye(3)[0], np.eye(3)[1], (2 * radius, 2 * radius), sides[0], 11, outline=outline))
    return parts


def _windowed_sides(
    rng: np.random.Generator, count: int, size: tuple[float, float], rows: int, columns: int
) -> list[Texture]:
    """Walls with the same windows; each wall has stains and a few odd windows of its own."""
    scale = 220
    width, height = int(size[0] * scale), int(size[1] * scale)
    wall, glass = textures.colour(rng, (0.5, 0.75), 0.15), textures.colour(rng, (0.15, 0.3), 0.1)
    stone = 0.05 * textures.noise(rng, height // rows + 1, width // columns + 1, 30)
    stains = rng.uniform(0.01, 0.05)
    odd = rng.uniform(0, 0.25)
    sides = []
    for _ in range(count):
        image = wall + stains * textures.noise(rng, height, width, 120, 8)[..., None] * np.ones(3)
        for row in range(rows):
            for column in range(columns):
                y, x = row * height // rows, column * width // columns
                h, w = height // rows, width // columns
                image[y : y + h, x : x + w] += stone[:h, :w, None]
                curtain = rng.uniform(0.4, 0.9, 3) if rng.random() < odd else None
                _draw_window(image[y : y + h, x : x + w], glass, curtain)
        sides.append(textures.make_texture(image.astype(np.float32)))
    return sides


def _draw_window(cell: Rgb, glass: np.ndarray, curtain: np.ndarray | None) -> None:
    """Sill, frame and panes into a cell of the wall."""
    h, w = cell.shape[:2]
    top, bottom, left, right = (int(share * side) for share, side in ((0.2, h), (0.78, h), (0.25, w), (0.75, w)))
    cell[bottom : bottom + max(2, h // 20), left - w // 20 : right + w // 20] = 0.82
    cell[top - h // 30 : bottom, left - w // 30 : right + w // 30] = 0.9
    cell[top : bottom - h // 30, left:right] = glass * np.linspace(1.4, 0.8, bottom - h // 30 - top)[:, None, None]
    if curtain is not None:
        cell[top : (top + bottom) // 2, left : (left + right) // 2] = curtain
    cell[top:bottom, (left + right) // 2 - max(1, w // 60) : (left + right) // 2 + max(1, w // 60)] = 0.9
    cell[(2 * top + bottom) // 3 : (2 * top + bottom) // 3 + max(2, h // 40), left:right] = 0.9


def _carved(rng: np.random.Generator) -> Texture:
    """A band of relief that goes around a column."""
    image = textures.colour(rng, (0.6, 0.75), 0.06) + 0.12 * textures.noise(rng, 600, 60, 30)[..., None]
    image[::75] *= 0.6
    return textures.make_texture(image.astype(np.float32))


def _striped(rng: np.random.Generator, ground: np.ndarray) -> Texture:
    image = np.tile(ground.astype(np.float32), (300, 300, 1))
    for y in range(20, 280, 30):
        image[y : y + int(rng.integers(4, 20)), 20 : int(rng.integers(120, 280))] = textures.colour(
            rng, (0.1, 0.9), 0.3
        )
    return textures.make_texture(image)


def _repeating_paper(rng: np.random.Generator) -> Texture:
    """A motif of half a metre again and again."""
    motif = textures.wallpaper(rng, 0.5, 0.5)
    return textures.Texture(motif.levels[:6], motif.texels_per_m)


def _mosaic_tiles(rng: np.random.Generator) -> Texture:
    """Four patterned tiles that repeat every .6 m."""
    image = np.tile(textures.colour(rng, (0.6, 0.8), 0.1).astype(np.float32), (192, 192, 1))
    inks = [textures.colour(rng, (0.1, 0.6), 0.3) for _ in range(3)]
    grid = rng.integers(0, 4, (12, 12))
    grid = np.block([[grid, grid[:, ::-1]], [grid[::-1], grid[::-1, ::-1]]])
    for row, column in np.ndindex(grid.shape):
        if grid[row, column] < 3:
            image[row * 8 : row * 8 + 7, column * 8 : column * 8 + 7] = inks[grid[row, column]]
    return textures.make_texture(image, 320)
