"""A synthetic room: what it is, and how it is generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from fewview.data.gallery import textures
from fewview.data.gallery.beyond import KINDS, behind, find_holes, open_up, pierce
from fewview.data.gallery.layout import SHAPES, Layout, Shape, Walk, make_layout, walls
from fewview.data.gallery.render import Light, Renderer, photograph
from fewview.data.gallery.solids import Box, Face, Frame, faces
from fewview.data.gallery.viewpoints import make_views
from fewview.recon.scene import View


@dataclass(frozen=True)
class Plane:
    """n . X + d = 0 in the world frame, metres."""

    kind: Literal["floor", "ceiling", "wall"]
    normal: Float[np.ndarray, " 3"]
    """Unit, into the room."""
    offset: float
    instance: int


@dataclass(frozen=True)
class Shot:
    """One photo and everything that is true of it."""

    view: View
    image: UInt8[np.ndarray, "H W 3"]
    """sRGB."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth at pixel centres, metres, exact to float32."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera."""
    instance: Int[np.ndarray, "H W"]
    """Key into `Room.instances`."""
    albedo: UInt8[np.ndarray, "H W 3"]
    """sRGB of the surfaces themselves, without light."""


@dataclass(frozen=True)
class Room:
    """A furnished room and photos of it. World frame: metres, z up, the floor at z = 0."""

    seed: int
    shape: Shape
    polygon: Float[np.ndarray, "N 2"]
    """Floor corners, counterclockwise from above."""
    height: float
    planes: list[Plane]
    """Floor, ceiling, then the walls in the order of the polygon's edges."""
    instances: dict[int, str]
    """What each instance is: floor, ceiling, wall, lamp, door, window, picture, a kind of furniture, or `beyond`: what
    open doors and windows show."""
    shots: list[Shot]
    layout: Layout
    """What stands where."""

    @property
    def views(self) -> list[View]:
        return [shot.view for shot in self.shots]


def generate(
    seed: int,
    shape: Shape = "rectangle",
    views: int = 6,
    plain_walls: bool = False,
    size: tuple[int, int] = (1024, 768),
    walk: Walk = "across",
    openings: bool = False,
) -> Room:
    """Build, furnish, light and photograph a room; equal arguments give equal bytes.

    Args:
        shape: floor plan: `rectangle`, `l` (a corner is missing), `slanted` (a corner is cut off) or `t` (two
            corners are missing).
        views: number of photos, at least 1, in walking order, each overlapping its neighbours.
        plain_walls: walls and ceiling of one colour each, as in most homes (pictures stay); else they are
            textured.
        size: width and height of the photos in pixels.
        walk: `across` looks across the room from one side; `around` turns, so that more walls are seen.
        openings: doors and windows are open, and something is seen through them; else they are closed, and flat.

    Raises:
        ValueError: an argument is out of range.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}, not one of {', '.join(SHAPES)}")
    if views < 1 or min(size) < 16:
        raise ValueError(f"cannot take {views} photos of {size[0]}x{size[1]} pixels")
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    layout = make_layout(rng, shape, views, walk)
    if openings:
        layout = open_up(rng, layout)
    lights = _lights(rng, layout)
    instances: dict[int, str] = {}
    parts, planes = _shell(rng, layout, plain_walls, instances)
    for light in lights:
        parts += _lamp(light, layout.height, _new(instances, "lamp"), rng)
    for placed in (*layout.openings, *layout.pieces):
        if layout.beyond and placed.piece.kind in KINDS:
            continue
        instance = _new(instances, placed.piece.kind)
        for box in placed.piece.boxes:
            parts += faces(box, placed.frame, instance, rng)
    renderer = Renderer(parts, lights)
    names = [f"room_{index:02d}.jpg" for index in range(views)]
    shots = take(rng, renderer, make_views(rng, layout.stand, size, views, names))
    return Room(seed, shape, layout.polygon, layout.height, planes, instances, shots, layout)


def take(rng: np.random.Generator, renderer: Renderer, views: list[View]) -> list[Shot]:
    """The views' photos, all at one exposure, and their truth."""
    seen = [renderer.look(view) for view in views]
    # The meter: highlights (95 %) at three quarters of full scale, the same for all photos but for small
    # errors.
    exposure = 0.75 / float(np.mean([np.percentile(radiance, 95) for radiance, _ in seen]))
    shots = []
    for view, (radiance, truth) in zip(views, seen, strict=True):
        image = photograph(radiance, exposure, rng)
        shots.append(Shot(view, image, truth.depth, truth.normal, truth.instance, truth.albedo))
    return shots


def _shell(
    rng: np.random.Generator, layout: Layout, plain_walls: bool, instances: dict[int, str]
) -> tuple[list[Face], list[Plane]]:
    polygon, height = layout.polygon, layout.height
    low, high = polygon.min(0), polygon.max(0)
    width, depth = high - low
    ex, ey, ez = np.eye(3)
    floor = textures.planks if rng.random() < 0.6 else textures.tiles
    above = polygon[::-1] * [-1, 1] + [high[0], -low[1]]
    ceiling = textures.plain(np.array([0.86, 0.86, 0.84])) if plain_walls else textures.plaster(rng, width, depth, 0.03)
    parts = [
        Face(np.array([*low, 0]), ex, ey, (width, depth), floor(rng, width, depth), _new(instances, "floor"),
             outline=polygon - low),
        Face(np.array([high[0], low[1], height]), -ex, ey, (width, depth), ceiling, _new(instances,
        "ceiling"),
             outline=above),
    ]  # fmt: skip
    planes = [Plane("floor", ez, 0.0, parts[0].instance), Plane("ceiling", -ez, height, parts[1].instance)]
    for index, (a, b, normal) in enumerate(walls(polygon)):
        length = float(np.linalg.norm(b - a))
        papers = (textures.plaster, textures.wallpaper, textures.bricks)
        if plain_walls:
            paper = textures.plain(textures.colour(rng, (0.72, 0.88), 0.08))
        else:
            paper = papers[rng.choice(3, p=[0.4, 0.4, 0.2])](rng, length, height)
        instance = _new(instances, "wall")
        face = Face(np.array([*b, 0]), np.array([*(a - b) / length, 0]), ez, (length, height), paper, instance)
        if index in layout.beyond:
            here = [hole for hole in find_holes(layout) if hole.wall == index]
            seen_through = _new(instances, "beyond")
            parts += behind(rng, (a, b, normal), here, layout.beyond[index], height, seen_through)
            parts += pierce(face, here)
        else:
            parts.append(face)
        planes.append(Plane("wall", np.array([*normal, 0]), -float(normal @ a), instance))
    return parts, planes


def _lights(rng: np.random.Generator, layout: Layout) -> list[Light]:
    """Two ceiling lamps, over the middle and over the near part of the room."""
    centre, near = layout.polygon.mean(0), (layout.stand.start + layout.stand.end) / 2
    spots = (centre + rng.uniform(-0.4, 0.4, 2), 0.35 * centre + 0.65 * near + rng.uniform(-0.2, 0.2, 2))
    powers = (rng.uniform(2.2, 3.2), rng.uniform(0.8, 1.6))
    return [
        Light(np.array([*spot, layout.height - 0.12]), 0.22, power) for spot, power in zip(spots, powers, strict=True)
    ]


def _lamp(light: Light, height: float, instance: int, rng: np.random.Generator) -> list[Face]:
    """A shallow housing above the light's disc."""
    r, z = light.radius, float(light.center[2]) + 0.02
    metal = textures.plain(np.array([0.6, 0.6, 0.58]))
    box = Box((-r, -r, z), (r, r, height - 0.001), metal, {"bottom": textures.plain(np.array([0.97, 0.96, 0.92]))})
    return faces(box, Frame(light.center[:2], np.array([0.0, 1.0])), instance, rng)


def _new(instances: dict[int, str], kind: str) -> int:
    instances[len(instances) + 1] = kind
    return len(instances)
