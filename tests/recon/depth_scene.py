"""A small scene with exact truth for the depth tests: textured rectangles, ray cast analytically."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.depth.completion import depth_normals
from fewview.recon.depth.covisibility import world_points
from fewview.recon.depth.sources import SparsePoints
from fewview.recon.scene import Camera, PosedImage


@dataclass(frozen=True)
class Rectangle:
    """corner + s * u + t * v for s, t in [0, 1]."""

    corner: tuple[float, float, float]
    u: tuple[float, float, float]
    v: tuple[float, float, float]
    textured: bool = True
    colour: tuple[float, float, float] = (0.6, 0.55, 0.5)


WALL_AND_FLOOR = (
    Rectangle((-4, -3, 5), (8, 0, 0), (0, 4, 0)),
    Rectangle((-4, 1, -2), (8, 0, 0), (0, 0, 7)),
    Rectangle((-0.9, -0.2, 3), (0.9, 0, 0.5), (0, 1.2, 0)),
)


def look(center: tuple[float, float, float], target: tuple[float, float, float]) -> np.ndarray:
    """Camera-to-world of a camera at `center` that looks at `target`, y down."""
    z = np.subtract(target, center)
    z = z / np.linalg.norm(z)
    x = np.cross((0, 1, 0), z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], 1)
    T[:3, 3] = center
    return T


def photograph(
    rectangles: tuple[Rectangle, ...],
    T: np.ndarray,
    name: str,
    size: tuple[int, int] = (160, 120),
    noise: float = 0.004,
) -> tuple[PosedImage, np.ndarray]:
    """The view, and its exact z-depth (NaN where nothing is hit; there the image is sky blue)."""
    width, height = size
    camera = Camera(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2)
    blank = PosedImage(name, camera, T, np.zeros((height, width, 3), np.float32), np.ones((height, width), bool))
    depth = _cast(rectangles, blank)[0]
    fine = 3
    big = camera.resized(fine * width, fine * height)
    zeros = np.zeros((fine * height, fine * width, 3), np.float32)
    image = _cast(rectangles, PosedImage(name, big, T, zeros, zeros[..., 0] == 0))[1]
    image = image.reshape(height, fine, width, fine, 3).mean((1, 3))
    rng = np.random.default_rng(sum(map(ord, name)))
    image = np.clip(image + rng.normal(0, noise, image.shape), 0, 1).astype(np.float32)
    return PosedImage(name, camera, T, image, blank.mask), depth


def three_views(
    rectangles: tuple[Rectangle, ...] = WALL_AND_FLOOR, size: tuple[int, int] = (160, 120)
) -> tuple[list[PosedImage], list[np.ndarray]]:
    shots = [
        photograph(rectangles, look((x, -0.3, 0), (0.3 * x, 0.2, 4)), f"view{i}", size)
        for i, x in enumerate((-0.5, 0.0, 0.5))
    ]
    return [view for view, _ in shots], [depth for _, depth in shots]


def sparse_points(views: list[PosedImage], depths: list[np.ndarray], per_view: int = 200) -> SparsePoints:
    """Exact points on the surfaces, seen by every view whose depth agrees."""
    rng = np.random.default_rng(0)
    parts = []
    for view, depth in zip(views, depths, strict=True):
        rows, columns = np.nonzero(np.isfinite(depth))
        pick = rng.choice(len(rows), min(per_view, len(rows)), replace=False)
        parts.append(world_points(view, depth, rows[pick], columns[pick]))
    xyz = np.concatenate(parts)
    seen = []
    for view, depth in zip(views, depths, strict=True):
        X = xyz @ view.T_camera_world[:3, :3].T + view.T_camera_world[:3, 3]
        z = np.where(X[:, 2] > 0, X[:, 2], np.nan)
        u = view.camera.fx * X[:, 0] / z + view.camera.cx
        v = view.camera.fy * X[:, 1] / z + view.camera.cy
        inside = (u >= 0) & (v >= 0) & (u < view.camera.width) & (v < view.camera.height)
        there = depth[np.where(inside, v, 0).astype(int), np.where(inside, u, 0).astype(int)]
        seen.append(np.nonzero(inside & (np.abs(there / z - 1) < 0.03))[0])
    return SparsePoints(xyz, seen)


def exact(view, depth, keep) -> DepthMap:
    """The truth where `keep`, as stereo would verify it; normals by finite differences."""
    keep = keep & np.isfinite(depth)
    return DepthMap(
        np.where(keep, depth, np.nan).astype(np.float32),
        np.where(keep, 0.9, 0).astype(np.float16),
        np.where(keep[..., None], depth_normals(view, np.nan_to_num(depth)), np.nan).astype(np.float16),
        np.where(keep, VERIFIED, 0).astype(np.uint8),
    )


def textured(view) -> np.ndarray:
    """Where a window has contrast."""
    image = view.image.mean(-1)
    return np.sqrt(np.maximum(cv2.blur(image**2, (5, 5)) - cv2.blur(image, (5, 5)) ** 2, 0)) > 0.02


def _cast(rectangles: tuple[Rectangle, ...], view: PosedImage) -> tuple[np.ndarray, np.ndarray]:
    rays = view.camera.rays(np.float32).astype(np.float64) @ view.T_world_camera[:3, :3].T
    origin = view.T_world_camera[:3, 3]
    nearest = np.full(rays.shape[:2], np.inf)
    image = np.broadcast_to(np.array([0.55, 0.75, 0.95]), rays.shape).copy()
    for index, rectangle in enumerate(rectangles):
        corner, u, v = (np.array(a, np.float64) for a in (rectangle.corner, rectangle.u, rectangle.v))
        normal = np.cross(u, v)
        z = ((corner - origin) @ normal) / (rays @ normal)  # rays have z = 1 in the camera: this is z-depth
        X = origin + rays * z[..., None] - corner
        s, t = X @ u / (u @ u), X @ v / (v @ v)
        hit = (z > 0) & (z < nearest) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
        nearest = np.where(hit, z, nearest)
        surface = np.broadcast_to(np.array(rectangle.colour), image.shape)
        if rectangle.textured:
            surface = surface + _texture(X @ u / np.linalg.norm(u), X @ v / np.linalg.norm(v), index)
        image = np.where(hit[..., None], surface, image)
    return np.where(np.isfinite(nearest), nearest, np.nan).astype(np.float32), np.clip(image, 0, 1)


def _texture(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """Sum of plane waves, 0.2 to 2 units long, another mixture per channel."""
    rng = np.random.default_rng(seed)
    angle, phase = rng.uniform(0, np.pi, 24), rng.uniform(0, 2 * np.pi, (24, 3))
    frequency = 2 * np.pi / np.geomspace(0.2, 2.0, 24)
    wave = (a[..., None] * np.cos(angle) + b[..., None] * np.sin(angle)) * frequency
    return 0.05 * np.sin(wave[..., None] + phase).sum(-2)
