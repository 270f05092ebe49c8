"""Pointmaps of a scene with exact truth, disturbed as a network disturbs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from depth_scene import WALL_AND_FLOOR, _cast, look
from scipy.spatial.transform import Rotation
from sfm_scene import project

from fewview.recon.pointmaps.maps import make_pointmap
from fewview.recon.pointmaps.pairs import PointmapPair
from fewview.recon.scene import Camera, PosedImage, View

SURFACES = tuple(replace(rectangle, textured=False) for rectangle in WALL_AND_FLOOR)
SIZE = (640, 480)
"""Of the photos."""
MAP = (40, 30)


@dataclass(frozen=True)
class Disturbance:
    noise: float = 0.0
    """Relative deviation of each pixel's depth."""
    bend: float = 0.0
    """Relative deviation of the depth that changes slowly over the map."""
    outliers: float = 0.0
    """Share of the pixels that lie anywhere."""


CALM = Disturbance()
NETWORK = Disturbance(noise=0.02, bend=0.001, outliers=0.1)


def make_views(count: int, seed: int, spread_px: float = 0.0) -> list[View]:
    """Along an arc, all looking at the wall."""
    random = np.random.default_rng(seed)
    views = []
    for k, x in enumerate(np.linspace(-1.5, 1.5, count)):
        center = (x, -0.4 + random.normal(0, 0.25), -0.2 + random.normal(0, 0.25))
        focal = 560 + random.normal(0, spread_px)
        camera = Camera(*SIZE, focal, focal, SIZE[0] / 2, SIZE[1] / 2)
        views.append(View(f"photo{k}.jpg", camera, look(center, (0.3 * x, *random.normal((0, 4), 0.2)))))
    return views


def exact_points(view: View, size: tuple[int, int] = MAP) -> np.ndarray:
    """World points (H, W, 3) of the pixels of a map; the scene fills the photo."""
    camera = view.camera.resized(*size)
    blank = np.zeros((size[1], size[0], 3), np.float32)
    depth = _cast(SURFACES, PosedImage(view.name, camera, view.T_world_camera, blank, blank[..., 0] == 0))[0]
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    return (depth[..., None] * rays) @ view.T_world_camera[:3, :3].T + view.center


def disturbed(points: np.ndarray, how: Disturbance, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points in a camera's frame, moved along its rays, and their confidence."""
    height, width = points.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    waves = sum(
        random.normal() * np.sin(random.uniform(0.5, 3) * x + random.uniform(0.5, 3) * y + random.uniform(0, 6))
        for _ in range(4)
    )
    noise = random.normal(0, 1, (height, width))
    points = points * (1 + how.noise * noise + how.bend / 2 * waves)[..., None]
    confidence = 1 + random.gamma(2.0, 2.0, (height, width)) / (1 + np.abs(noise))
    wild = random.random((height, width)) < how.outliers
    points[wild] = random.normal(0, np.abs(points).max(), (int(wild.sum()), 3))
    confidence[wild] = 1 + 0.5 * (confidence[wild] - 1)
    return points.astype(np.float32), confidence.astype(np.float32)


def pair_arrays(
    views: list[View], how: Disturbance, seed: int, wrong: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """All ordered pairs: i, j, points and confidence of i, of j, in the frame of camera i at some scale.

    Args:
        wrong: pairs whose second map lies elsewhere, with full confidence.
    """
    random = np.random.default_rng([seed, 7])
    world = [exact_points(view) for view in views]
    for i, j in permutations(range(len(views)), 2):
        scale = random.uniform(0.3, 3)
        T = views[i].T_camera_world
        maps = []
        for k in (i, j):
            where = scale * (world[k] @ T[:3, :3].T + T[:3, 3])
            if k == j and (i, j) in wrong:
                where = where @ look((0, 0, 0), (0.8, 0.3, 1))[:3, :3].T + scale * np.array([1.5, 0, 0.5])
            maps += disturbed(where, how, random)
        yield i, j, *maps


def make_pairs(
    views: list[View], how: Disturbance, seed: int, wrong: tuple[tuple[int, int], ...] = ()
) -> list[PointmapPair]:
    """As `pair_arrays`, joined to the photos."""
    return [
        PointmapPair(i, j, make_pointmap(a, sure_a, SIZE), make_pointmap(b, sure_b, SIZE))
        for i, j, a, sure_a, b, sure_b in pair_arrays(views, how, seed, wrong)
    ]


def view_arrays(views: list[View], how: Disturbance, seed: int) -> dict[str, np.ndarray]:
    """What a file of pointmaps in one world holds; poses are off by what `how` says of the depth, too."""
    random = np.random.default_rng([seed, 8])
    points, confidence, poses = [], [], []
    for view in views:
        T = view.T_world_camera
        local = (exact_points(view) - view.center) @ T[:3, :3]
        off = T.copy()
        off[:3, :3] = T[:3, :3] @ Rotation.from_rotvec(random.normal(0, how.noise / 2, 3)).as_matrix()
        off[:3, 3] += random.normal(0, how.noise, 3)
        moved, sure = disturbed(local, how, random)
        points.append(moved @ off[:3, :3].T + off[:3, 3])
        confidence.append(sure)
        poses.append(off)
    return {
        "photos": np.array([view.name for view in views]),
        "points": np.array(points, np.float32),
        "confidence": np.array(confidence),
        "poses": np.array(poses, np.float32),
    }


def shared_points(views: list[View], count: int, seed: int) -> np.ndarray:
    """World points (count, 3) on the surface that all views see."""
    maps = [exact_points(view) for view in views]
    points = exact_points(views[len(views) // 2], (320, 240)).reshape(-1, 3)
    seen = np.ones(len(points), bool)
    for view, there in zip(views, maps, strict=True):
        xy = project(view, points)
        inside = ((xy > 0) & (xy < SIZE)).all(axis=1)
        column, row = (np.clip(xy / (np.array(SIZE) / MAP), 0, np.array(MAP) - 1).astype(int)).T
        seen &= inside & (np.linalg.norm(there[row, column] - points, axis=1) < 0.2)
    return points[np.random.default_rng(seed).choice(np.flatnonzero(seen), count, replace=False)]
