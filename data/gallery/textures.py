"""Textures of the synthetic rooms: pictures that scikit-image ships in its wheel, and procedural materials.

Everything is drawn in sRGB, as a person would pick colours, and kept as linear light in a mip pyramid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

Rgb = Float[np.ndarray, "H W 3"]

PICTURES = (
    "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg",
    "motorcycle_left.png", "retina.jpg", "ihc.png", "camera.png", "coins.png", "moon.png",
)  # fmt: skip
"""Files inside scikit-image's wheel (others of its data are downloads, which a test must not need)."""


@dataclass(frozen=True)
class Texture:
    """Linear light, as a mip pyramid."""

    levels: tuple[Float[np.ndarray, "_ _ 3"], ...]
    """Level 0 is the finest; each further one is half as large."""
    texels_per_m: float | None
    """Resolution on the surface; None: the image is stretched over the whole face."""


def make_texture(srgb: Rgb, texels_per_m: float | None = None) -> Texture:
    """Pyramid of an sRGB image in [0, 1], rounded to 8 bits as a picture file would be."""
    coded = np.round(np.clip(srgb, 0, 1) * 255).astype(np.uint8)
    level: Any = linear_from_srgb(np.arange(256) / 255).astype(np.float32)[coded]
    levels = [level]
    while min(level.shape[:2]) > 1:
        rows, cols = level.shape[:2]
        level = cv2.resize(level, (max(1, cols // 2), max(1, rows // 2)), interpolation=cv2.INTER_AREA)
        levels.append(level)
    return Texture(tuple(levels), texels_per_m)


def linear_from_srgb(srgb: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """IEC 61966-2-1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


@cache
def picture(name: str) -> Rgb:
    """One of `PICTURES`, sRGB in [0, 1], long side at most 512. Not to be written to: it is kept."""
    data = np.frombuffer((files("skimage") / "data" / name).read_bytes(), np.uint8)
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    shrink = min(1.0, 512 / max(image.shape[:2]))
    return cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def noise(
    rng: np.random.Generator, rows: int, cols: int, coarsest: float, finest: float = 1.5, stretch: float = 1.0
) -> Float[np.ndarray, "rows cols"]:
    """Octave noise of unit variance.

    Args:
        coarsest, finest: grain in texels of the first and the last octave.
        stretch: how much longer the grains are along the columns than along the rows.
    """
    out = np.zeros((rows, cols), np.float32)
    grain, weight = float(coarsest), 1.0
    while grain >= finest:
        shape = (int(rows / grain) + 3, int(cols / (grain * stretch)) + 3)
        coarse = rng.standard_normal(shape).astype(np.float32)
        out += weight * cv2.resize(coarse, (cols, rows), interpolation=cv2.INTER_CUBIC)
        grain, weight = grain / 2, weight * 0.72
    return (out - out.mean()) / out.std()


def colour(rng: np.random.Generator, light: tuple[float, float], saturation: float) -> Float[np.ndarray, " 3"]:
    """A random sRGB colour of lightness within `light`."""
    hue = rng.random(3)
    hue = (hue - hue.mean()) / (np.ptp(hue) + 1e-6)
    return np.clip(rng.uniform(*light) + saturation * hue, 0.03, 0.97)


def _mirrored(image: Rgb) -> Float[np.ndarray, "2*H 2*W 3"]:
    """Four copies that repeat without a seam."""
    wide = np.concatenate([image, image[:, ::-1]], 1)
    return np.concatenate([wide, wide[::-1]], 0)


def plain(rgb: Float[np.ndarray, " 3"]) -> Texture:
    """One colour, without any texture."""
    return make_texture(np.tile(np.asarray(rgb, np.float32), (2, 2, 1)))


def plaster(rng: np.random.Generator, width_m: float, height_m: float, contrast: float = 0.05) -> Texture:
    """Rough, uneven paint."""
    scale = 256
    rows, cols = int(height_m * scale), int(width_m * scale)
    base = colour(rng, (0.68, 0.85), 0.12)
    blotches = noise(rng, rows, cols, 180, 24)
    grit = noise(rng, rows, cols, 9)
    shade = contrast * (0.5 * blotches + 0.7 * grit)
    return make_texture(base + shade[..., None] * np.array([1.0, 0.95, 0.85]), scale)


def wallpaper(rng: np.random.Generator, width_m: float, height_m: float) -> Texture:
    """Leaves of a few colours strewn over a tinted ground: dense, and nowhere repeated."""
    scale = 256
    rows, cols = int(height_m * scale), int(width_m * scale)
    ground = colour(rng, (0.62, 0.85), 0.1)
    image = np.tile(ground.astype(np.float32), (rows, cols, 1))
    palette = [np.clip(ground + rng.uniform(-0.35, 0.1) + rng.uniform(-0.1, 0.1, 3), 0, 1) for _ in range(5)]
    for _ in range(int(width_m * height_m * 55)):
        centre = rng.uniform([0, 0], [cols, rows])
        size, angle = rng.uniform(8, 24), rng.uniform(0, 360)
        axes = (round(size * 16), round(size * rng.uniform(0.2, 0.5) * 16))
        at = (round(centre[0] * 16), round(centre[1] * 16))
        tint = [float(c) for c in palette[rng.integers(len(palette))]]
        cv2.ellipse(image, at, axes, angle, 0, 360, tint, -1, cv2.LINE_AA, 4)
    return make_texture(image + 0.02 * noise(rng, rows, cols, 60)[..., None], scale)


def bricks(rng: np.random.Generator, width_m: float, height_m: float) -> Texture:
    """Running bond, every brick of its own shade."""
    scale = 256
    rows, cols = int(height_m * scale), int(width_m * scale)
    base, course, length = colour(rng, (0.4, 0.6), 0.1) + np.array([0.1, -0.02, -0.08]), 20, 62
    image = np.full((rows, cols, 3), 0.62, np.float32)
    for row in range(rows // course + 1):
        for col in range(-1, cols // length + 1):
            x, y = col * length + (row % 2) * length // 2, row * course
            shade = base + rng.normal(0, 0.07) + rng.normal(0, 0.02, 3)
            image[max(y, 0) : y + course - 2, max(x, 0) : max(x + length - 2, 0)] = shade
    return make_texture(image + 0.045 * noise(rng, rows, cols, 16)[..., None], scale)


def grain(rng: np.random.Generator, rows: int, cols: int, base: Float[np.ndarray, " 3"]) -> Rgb:
    """Wood with its grain along the columns."""
    warp = noise(rng, rows, cols, 90, 20, stretch=4)
    rings = np.sin(np.linspace(0, rows / 14, rows)[:, None] * 2 + 2.5 * warp)
    fibres = noise(rng, rows, cols, 5, 1, stretch=14)
    return (base * (1 + 0.13 * rings + 0.09 * fibres)[..., None]).astype(np.float32)


def wood_colour(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    return rng.uniform(0.35, 0.78) * np.array([1.0, rng.uniform(0.72, 0.84), rng.uniform(0.45, 0.66)])


def wood(rng: np.random.Generator) -> Texture:
    return make_texture(_mirrored(grain(rng, 300, 500, wood_colour(rng))), 400)


def planks(rng: np.random.Generator, width_m: float, depth_m: float) -> Texture:
    """Floor boards, each of its own shade, with dark seams."""
    scale, board = 320, 38
    rows, cols = int(depth_m * scale), int(width_m * scale)
    image = grain(rng, rows, cols, wood_colour(rng))
    for y in range(0, rows, board):
        x = -int(rng.uniform(0, 300))
        while x < cols:
            length = int(rng.uniform(200, 420))
            part = image[y : y + board, max(x, 0) : x + length]
            part[:] = np.roll(part, int(rng.integers(1000)), 1) * (1 + rng.normal(0, 0.11))
            image[y : y + board, max(x, 0) : max(x, 0) + 2] *= 0.5
            x += length
        image[y : y + 2] *= 0.5
    return make_texture(image, scale)


def tiles(rng: np.random.Generator, width_m: float, depth_m: float) -> Texture:
    """Square stone tiles with light grout."""
    scale, side = 320, 96
    rows, cols = int(depth_m * scale), int(width_m * scale)
    base, other = colour(rng, (0.5, 0.7), 0.12), colour(rng, (0.3, 0.5), 0.12)
    veins = noise(rng, rows, cols, 70)
    image = np.zeros((rows, cols, 3), np.float32)
    for y in range(0, rows, side):
        for x in range(0, cols, side):
            part = np.s_[y : y + side, x : x + side]
            image[part] = (base if rng.random() < 0.75 else other) + rng.normal(0, 0.03)
            image[part] += 0.05 * rng.choice([-1, 1]) * veins[part][..., None]
    for start in range(3):
        image[start::side] = 0.75
        image[:, start::side] = 0.75
    return make_texture(image, scale)


def fabric(rng: np.random.Generator, light: tuple[float, float] = (0.25, 0.7)) -> Texture:
    """Woven cloth with stripes or blotches."""
    size = 360
    weave = noise(rng, size, size, 3, 1) * 0.05
    stripes = np.sin(np.linspace(0, rng.uniform(60, 140), size))[None, :] * rng.uniform(0, 0.08)
    shade = weave + stripes + 0.07 * noise(rng, size, size, 60, 6)
    return make_texture(_mirrored(colour(rng, light, 0.18) + shade[..., None]), 280)


def rug(rng: np.random.Generator) -> Texture:
    """Nested borders and random lozenges."""
    rows, cols = 384, 576
    image = np.tile(colour(rng, (0.3, 0.5), 0.35).astype(np.float32), (rows, cols, 1))
    for inset in (18, 40, 52):
        image[inset:-inset, inset:-inset] = colour(rng, (0.25, 0.75), 0.35)
    for _ in range(70):
        at = rng.uniform([70, 70], [cols - 70, rows - 70])
        half = rng.uniform(6, 30, 2)
        corners = at + half * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
        cv2.fillPoly(image, [(corners * 16).astype(np.int32)], colour(rng, (0.2, 0.8), 0.35).tolist(), cv2.LINE_AA, 4)
    return make_texture(image * (1 + 0.12 * noise(rng, rows, cols, 6, 1))[..., None])


def framed(rng: np.random.Generator, image: Rgb) -> Texture:
    """A picture with a mount and a wooden frame."""
    b = max(6, max(image.shape[:2]) // 24)
    rows, cols = (side + 6 * b for side in image.shape[:2])
    out = wood_colour(rng) * 0.7 + 0.03 * rng.standard_normal((rows, cols, 1))
    out[b:-b, b:-b] = [0.9, 0.88, 0.84]
    out[3 * b : -3 * b, 3 * b : -3 * b] = image
    return make_texture(out)


def door(rng: np.random.Generator) -> Texture:
    """A panelled door with a handle, 0.5 x 1 in aspect."""
    rows, cols = 640, 300
    image = grain(rng, cols, rows, wood_colour(rng)).transpose(1, 0, 2).copy()
    for top, bottom in ((40, 250), (290, 400), (440, 600)):
        for left, right in ((36, 138), (162, 264)):
            image[top:bottom, left:right] *= rng.uniform(0.75, 0.9)
            cv2.rectangle(image, (left, top), (right, bottom), (image.mean((0, 1)) * 0.45).tolist(), 3)
    cv2.circle(image, (276, 345), 9, (0.8, 0.75, 0.5), -1, cv2.LINE_AA)
    return make_texture(image)


def landscape(rng: np.random.Generator) -> Rgb:
    """Clouds, trees and a meadow."""
    rows, cols = 420, 560
    sky = np.linspace(0.62, 0.9, rows)[:, None, None] * np.array([0.85, 0.95, 1.1])
    clouds = np.clip(noise(rng, rows, cols, 130, stretch=2), 0, 2)[..., None] * 0.1
    image = np.clip(sky + clouds, 0, 1).astype(np.float32)
    horizon = rows * (0.62 + 0.04 * noise(rng, 1, cols, 60, 3)[0])
    ground = np.arange(rows)[:, None] > horizon[None, :]
    trees = np.array([0.2, 0.36, 0.14]) * (1 + 0.35 * noise(rng, rows, cols, 24))[..., None]
    image[ground] = trees[ground]
    meadow = rows // 5
    image[-meadow:] = np.array([0.4, 0.52, 0.22]) * (1 + 0.2 * noise(rng, meadow, cols, 10))[..., None]
    return image


def window(rng: np.random.Generator) -> Texture:
    """A landscape behind white bars."""
    image = landscape(rng)
    rows, cols = image.shape[:2]
    for x in (0, cols // 2 - 8, cols - 16):
        image[:, x : x + 16] = 0.88
    for y in (0, int(rows * 0.35), rows - 16):
        image[y : y + 16] = 0.88
    return make_texture(image)


def drawers(rng: np.random.Generator, across: int, down: int) -> Texture:
    """The front of a cabinet: wooden leaves with knobs."""
    rows, cols = 160 * down, 200 * across
    image = grain(rng, rows, cols, wood_colour(rng))
    for i in range(down):
        for j in range(across):
            y, x = 160 * i, 200 * j
            image[y : y + 160, x : x + 200] *= 1 + rng.normal(0, 0.08)
            cv2.rectangle(image, (x + 4, y + 4), (x + 196, y + 156), (image.mean((0, 1)) * 0.4).tolist(), 3)
            cv2.circle(image, (x + 100, y + 34), 8, (0.82, 0.8, 0.74), -1, cv2.LINE_AA)
    return make_texture(image)


def spine(rng: np.random.Generator) -> Texture:
    """The back of a book: cloth, two bands, a title of scribbles."""
    rows, cols = 128, 32
    image = np.tile(colour(rng, (0.2, 0.75), 0.25).astype(np.float32), (rows, cols, 1))
    ink = colour(rng, (0.1, 0.95), 0.3)
    for y in (int(rng.uniform(6, 20)), int(rng.uniform(100, 120))):
        image[y : y + 4] = ink
    for y in range(30, int(rng.uniform(60, 95)), 5):
        image[y : y + 3, 8 : 8 + int(rng.uniform(4, 16))] = ink
    return make_texture(image * (1 + 0.06 * noise(rng, rows, cols, 8, 1))[..., None])
