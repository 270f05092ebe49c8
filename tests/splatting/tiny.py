"""A box room with smooth patterns on its walls, seen from inside: exact photos, depth and artifacts, in numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from fewview.recon.io.cameras import CameraSet, Verdict
from fewview.recon.io.colmap import SparsePoints, write_camera_exports
from fewview.recon.photos import Photo, save_photos
from fewview.recon.scene import Camera, View

HALF = np.array([2.0, 1.2, 1.6])
"""Half the room's extent along x, y, z."""
CAMERA = Camera(88, 64, 60.0, 60.0, 44.0, 32.0)


@dataclass(frozen=True)
class TinyView:
    view: View
    image: np.ndarray
    depth: np.ndarray
    points: np.ndarray
    normals: np.ndarray


def pattern(points: np.ndarray) -> np.ndarray:
    """Colours of points on the walls, different everywhere; waves of about eight pixels, which fix a pose."""
    phases = np.array([[3.1, 1.3, 2.2], [1.7, 4.2, 2.9], [2.3, 2.6, 4.4]])
    return 0.5 + 0.2 * np.sin(points @ phases * 2.1) + 0.2 * np.sin(points[..., [1, 2, 0]] * 13.0)


def poses(count: int) -> np.ndarray:
    """Cameras side by side near the back wall that look at the front wall, each turned a little."""
    Ts = np.tile(np.eye(4), (count, 1, 1))
    for index, x in enumerate(np.linspace(-0.6, 0.6, count)):
        Ts[index, :3, :3] = Rotation.from_euler("yx", [-14 * x, 6 * (-1) ** index], degrees=True).as_matrix()
        Ts[index, :3, 3] = [x, 0.15 * (-1) ** index, -1.2 + 0.1 * index]
    return Ts


def look(name: str, T_world_camera: np.ndarray, camera: Camera = CAMERA) -> TinyView:
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)
    world = rays @ T_world_camera[:3, :3].T
    center = T_world_camera[:3, 3]
    reach = (np.where(world > 0, HALF, -HALF) - center) / world
    wall = reach.argmin(-1)
    depth = reach.min(-1)
    points = center + depth[..., None] * world
    normals = -np.sign(world) * np.eye(3)[wall]
    view = View(name, camera, T_world_camera)
    return TinyView(view, pattern(points).astype(np.float32), depth.astype(np.float32), points, normals)


def write_photos(folder: Path, views: list[TinyView], mask: np.ndarray | None = None) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    photos = []
    for seen in views:
        name = seen.view.name
        key = name.removesuffix(".jpg")
        pixels = np.round(np.clip(seen.image, 0, 1) * 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{key}.png"), pixels[..., ::-1])
        photo = Photo(name, key, name, "0" * 64, seen.view.camera.width, seen.view.camera.height, f"images/{key}.png")
        if mask is not None:
            cv2.imwrite(str(folder / "masks" / f"{key}.png"), mask.astype(np.uint8) * 255)
            photo = replace(photo, mask=f"masks/{key}.png")
        photos.append(photo)
    save_photos(folder, photos)


def write_camera_artifact(folder: Path, views: list[View], units: str = "unknown", given: tuple[str, ...] = ()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tracks = [[(index, np.array([1.0, 2.0])) for index in range(len(views))]]
    points = SparsePoints(np.array([[0.0, 0, 1.6]]), np.full((1, 3), 128, np.uint8), np.zeros(1), tracks)
    verdicts = [Verdict(view.name, True) for view in views]
    write_camera_exports(folder, CameraSet(views, units, verdicts=verdicts, given=given), points)


def write_depth(folder: Path, views: list[TinyView], mask: np.ndarray | None = None) -> None:
    """Exact depth and points; those outside `mask` are left out."""
    folder.mkdir(parents=True)
    for seen in views:
        shape = seen.depth.shape
        np.savez(
            folder / f"{seen.view.name.removesuffix('.jpg')}.npz",
            depth=seen.depth if mask is None else np.where(mask, seen.depth, np.float32(np.nan)),
            confidence=np.ones(shape, np.float16),
            normal=(seen.normals @ seen.view.T_world_camera[:3, :3]).astype(np.float16),
            source=np.ones(shape, np.uint8) if mask is None else mask.astype(np.uint8),
        )
    # As after co-visibility pruning, each bit of surface is there once: every view gives its share of the pixels.
    rows, columns = np.indices(views[0].depth.shape)
    own = [(rows * 2 + columns) % len(views) == index for index in range(len(views))]
    if mask is not None:
        own = [pixels & mask for pixels in own]
    chosen = list(zip(views, own, strict=True))
    count = [int(mask.sum()) for mask in own]
    np.savez(
        folder / "points.npz",
        xyz=np.concatenate([seen.points[mask] for seen, mask in chosen]).astype(np.float32),
        rgb=np.concatenate([np.round(np.clip(seen.image[mask], 0, 1) * 255) for seen, mask in chosen]).astype(np.uint8),
        normal=np.concatenate([seen.normals[mask] for seen, mask in chosen]).astype(np.float16),
        radius=np.concatenate([0.5 * seen.depth[mask] / seen.view.camera.fx for seen, mask in chosen]),
        confidence=np.ones(sum(count), np.float16),
        verified=np.ones(sum(count), bool),
        view=np.repeat(np.arange(len(views)), count).astype(np.int16),
    )
