"""Empty rooms of known shape, seen by cameras in them: exact depth without a renderer, and without
`fewview.layout.raycast`."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation
from shapely import Polygon

from fewview.layout.model import RoomLayout, Slab, Wall
from fewview.layout.surfaces import DepthView
from fewview.recon.scene import Camera, PosedImage

RECTANGLE = np.array([[0, 0], [4.6, 0], [4.6, 3.8], [0, 3.8]])
L_SHAPE = np.array([[0, 0], [4.6, 0], [4.6, 2.4], [2.8, 2.4], [2.8, 4.0], [0, 4.0]])
SLANTED = np.array([[0, 0], [4.6, 0], [4.6, 2.4], [3.0, 4.0], [0, 4.0]])
CAMERA = Camera(160, 120, 95.0, 95.0, 80.0, 60.0)


def room(polygon: np.ndarray, height: float = 2.5, R_room_world: np.ndarray | None = None) -> RoomLayout:
    corners = [np.array(corner, float) for corner in polygon]
    walls = tuple(Wall(a, b, True, 1.0) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))
    return RoomLayout(
        np.eye(3) if R_room_world is None else R_room_world, walls, Slab(0.0, True, 1.0), Slab(height, True, 1.0)
    )


def pose(x: float, y: float, yaw_deg: float, pitch_deg: float = -6.0, z: float = 1.5) -> np.ndarray:
    """Camera to room (z up)."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    T[:3, 3] = x, y, z
    return T


def turning(sweep_deg: float = 200.0, count: int = 6) -> list[np.ndarray]:
    """From near the middle of the wall y = 0, turning about +y."""
    yaws = 90 + np.linspace(sweep_deg / 2, -sweep_deg / 2, count)
    return [pose(2.1 - 0.4 * np.cos(np.radians(a)), 1.2 - 0.4 * np.sin(np.radians(a)), a) for a in yaws]


def rays(truth: RoomLayout, camera: Camera, T_world_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The camera's centre in the room frame, and the rays through its pixels, of unit z in the camera's."""
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)
    T_room_camera = truth.R_room_world @ T_world_camera[:3]
    return T_room_camera[:, 3], np.einsum("ij,hwj->hwi", T_room_camera[:, :3], pixels)


def see(truth: RoomLayout, camera: Camera, T_world_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label (0 floor, 1 ceiling, 2 and up the walls) and z-depth of each pixel; -1 and NaN where it sees no inner side.

    Triangle by triangle (Moeller and Trumbore 1997), those that face the eye.
    """
    eye, directions = rays(truth, camera, T_world_camera)
    depth, labels = np.full(directions.shape[:2], np.inf), np.full(directions.shape[:2], -1)
    for label, (a, b, c) in _triangles(truth):
        across = np.cross(directions, c - a)
        facing = -(across @ (b - a))
        with np.errstate(divide="ignore", invalid="ignore"):
            u = -(across @ (eye - a)) / facing
            turned = np.cross(eye - a, b - a)
            v = -(directions @ turned) / facing
            times = -((c - a) @ turned) / facing
            hit = (facing > 0) & (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (times > 0) & (times < depth)
        depth[hit], labels[hit] = times[hit], label
    return labels, np.where(labels >= 0, depth, np.nan)


def _triangles(truth: RoomLayout) -> list[tuple[int, np.ndarray]]:
    """Of the inside, with their labels; clockwise as seen from there."""
    corners = np.array([wall.start for wall in truth.walls])
    low, high = truth.floor.height, truth.ceiling.height
    found = []
    for number, (a, b) in enumerate(zip(corners, np.roll(corners, -1, 0), strict=True)):
        quad = [np.array([*a, low]), np.array([*b, low]), np.array([*b, high]), np.array([*a, high])]
        found += [
            (2 + number, np.array([quad[0], quad[1], quad[2]])),
            (2 + number, np.array([quad[0], quad[2], quad[3]])),
        ]
    flat, faces = trimesh.creation.triangulate_polygon(Polygon(corners), engine="earcut")
    for face in faces:
        plan = flat[face]
        if np.linalg.det([plan[1] - plan[0], plan[2] - plan[0]]) > 0:  # counter-clockwise from above
            plan = plan[::-1]
        found.append((0, np.c_[plan, np.full(3, low)]))
        found.append((1, np.c_[plan[::-1], np.full(3, high)]))
    return found


def look(
    truth: RoomLayout,
    poses: list[np.ndarray],
    noise: float = 0.0,
    seed: int = 0,
    R_world_room: np.ndarray | None = None,
) -> list[DepthView]:
    """Depth maps of the empty room; `R_world_room` turns the whole scene."""
    rng = np.random.default_rng(seed)
    turn = np.eye(4)
    turn[:3, :3] = np.eye(3) if R_world_room is None else R_world_room
    views = []
    for index, T in enumerate(poses):
        depth = see(truth, CAMERA, T)[1]
        depth = depth * (1 + noise * rng.standard_normal(depth.shape))
        views.append(DepthView(f"view{index}", CAMERA, turn @ T, depth, np.ones_like(depth)))
    return views


def photos(truth: RoomLayout, views: list[DepthView], blank: bool = False) -> list[PosedImage]:
    """Each plane in a grey of its own; or all in one."""
    out = []
    for view in views:
        labels = see(truth, view.camera, view.T_world_camera)[0]
        grey = np.full(labels.shape, 0.5) if blank else 0.3 + 0.5 * ((labels * 3) % 7) / 7
        image = np.repeat(grey[..., None], 3, 2).astype(np.float32)
        out.append(PosedImage(view.name, view.camera, view.T_world_camera, image, np.ones(labels.shape, bool)))
    return out


def y_down(seed: int = 0) -> np.ndarray:
    """A world like that of cameras.json: y roughly down, turned arbitrarily about it, tilted a little."""
    rng = np.random.default_rng(seed)
    upright = Rotation.from_euler("x", 90, degrees=True)
    tilt = Rotation.from_rotvec(np.radians(rng.uniform(-8, 8, 3)))
    return (tilt * Rotation.from_euler("y", rng.uniform(0, 360), degrees=True) * upright).as_matrix()
