"""What each view sees of a layout: which plane every pixel shows, and how deep."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from fewview.layout.model import RoomLayout
from fewview.recon.scene import Camera

FLOOR, CEILING, FIRST_WALL = 0, 1, 2
"""Labels, in the order of `RoomLayout.planes`."""


def cast(
    layout: RoomLayout, camera: Camera, T_world_camera: Float[np.ndarray, "4 4"]
) -> tuple[Int[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """`first_hits` of the rays through all pixels."""
    return first_hits(layout, *room_rays(layout, camera, T_world_camera))


def first_hits(
    layout: RoomLayout, eye: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "*B 3"]
) -> tuple[Int[np.ndarray, " *B"], Float[np.ndarray, " *B"]]:
    """Labels of the first surface of the prism that each ray meets, and how many times the ray it takes to get there
    (the z-depth for `room_rays`).

    From outside the prism the nearer walls are looked through: only surfaces that face the eye count, and floor and
    ceiling go on beyond the walls. Where none does, the label is -1 and the depth NaN.
    """
    x, y, z = (np.ascontiguousarray(rays[..., axis]) for axis in range(3))
    depth, labels = np.full(x.shape, np.inf), np.full(x.shape, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for index, wall in enumerate(layout.walls):
            towards = x * wall.normal[0] + y * wall.normal[1]
            times = ((wall.start - eye[:2]) @ wall.normal) / towards
            along = (eye[:2] - wall.start) @ wall.direction + times * (x * wall.direction[0] + y * wall.direction[1])
            hit = (towards < 0) & (times > 0) & (times < depth) & (along >= -1e-9) & (along <= wall.length + 1e-9)
            depth[hit], labels[hit] = times[hit], FIRST_WALL + index
        for label, slab, sign in ((FLOOR, layout.floor, -1), (CEILING, layout.ceiling, 1)):
            times = (slab.height - eye[2]) / z
            hit = (sign * z > 0) & (times > 0) & (times < depth)
            depth[hit], labels[hit] = times[hit], label
    return labels, np.where(labels >= 0, depth, np.nan)


def room_rays(
    layout: RoomLayout, camera: Camera, T_world_camera: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "H W 3"]]:
    """The camera's centre in the room frame, and the rays through the pixels, of unit z in the camera's."""
    return layout.R_room_world @ T_world_camera[:3, 3], camera.rays() @ (layout.R_room_world @ T_world_camera[:3, :3]).T


def on_wall(
    layout: RoomLayout, index: int, points: Float[np.ndarray, "*B 3"]
) -> tuple[Float[np.ndarray, " *B"], Float[np.ndarray, " *B"]]:
    """Where points of the room frame lie along a wall, and how high above the floor."""
    wall = layout.walls[index]
    return (points[..., :2] - wall.start) @ wall.direction, points[..., 2] - layout.floor.height
