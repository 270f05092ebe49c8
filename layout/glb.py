"""`room.glb`: the room as one watertight mesh, coloured from the photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from scipy.spatial import cKDTree
from shapely.geometry import Polygon

from fewview.layout.model import RoomLayout
from fewview.layout.raycast import cast
from fewview.layout.surfaces import DepthView
from fewview.recon.geometry.pose import transform
from fewview.recon.io.glb import write_glb
from fewview.recon.scale import Scale
from fewview.recon.scene import PosedImage

EDGE_SHARE = 1 / 64
"""Of the room's size, that an edge of the mesh may be long: vertices carry the colours."""
MAX_LEVELS = 7
_OCCLUDED = 0.06
"""Relative depth by which something stands before the layout's surface."""
# The room has z up; glTF has y up.
_R_GLTF_ROOM = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)


def write_room(
    path: Path, layout: RoomLayout, scale: Scale, views: Sequence[PosedImage], depths: Sequence[DepthView]
) -> None:
    """Write the mesh in the world frame under a node that turns it upright and into metres.

    Args:
        views: photos, for the colours.
        depths: of the same views; where something stands before a wall, the photo does not colour the wall.
    """
    mesh = prism(layout)
    vertices = mesh.vertices @ layout.R_room_world
    T = np.eye(4)
    T[:3, :3] = _R_GLTF_ROOM @ layout.R_room_world / scale.metre
    said = {"scale_source": scale.source, "scale_guess": scale.guess, "scale_interval": scale.interval}
    write_glb(path, vertices, mesh.faces, _colours(vertices, layout, views, depths), T, said)


def prism(layout: RoomLayout, fine: bool = True) -> trimesh.Trimesh:
    """The room's shell in its own frame: watertight, faces outwards; cut into small triangles where `fine`."""
    mesh = trimesh.creation.extrude_polygon(Polygon(layout.polygon), layout.height, engine="earcut")
    mesh.apply_translation([0, 0, layout.floor.height])
    if fine:
        longest = float(mesh.edges_unique_length.max())
        target = EDGE_SHARE * float(np.ptp(layout.polygon, axis=0).max())
        # Every face is split alike: the mesh stays closed.
        for _ in range(min(MAX_LEVELS, int(np.ceil(np.log2(max(longest / target, 1)))))):
            mesh = mesh.subdivide()
    return mesh


def _colours(
    vertices: Float[np.ndarray, "V 3"],
    layout: RoomLayout,
    views: Sequence[PosedImage],
    depths: Sequence[DepthView],
) -> UInt8[np.ndarray, "V 3"]:
    """Mean colour of the photos that see the vertex, unoccluded; else that of the nearest vertex that is seen."""
    total, weight = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for view, seen in zip(views, depths, strict=True):
        local = transform(view.T_camera_world, vertices)
        z, camera = local[:, 2], view.camera
        u, v = camera.project(local).T
        inside = np.flatnonzero((u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height))
        column, row = u[inside].astype(int), v[inside].astype(int)
        shell = cast(layout, camera, view.T_world_camera)[1][row, column]
        height, width = seen.depth.shape
        real = seen.depth[row * height // camera.height, column * width // camera.width]
        with np.errstate(invalid="ignore"):
            good = (np.abs(shell / z[inside] - 1) < _OCCLUDED) & ~(real < z[inside] * (1 - _OCCLUDED))
            good &= view.mask[row, column] & np.isfinite(real)
        near = 1 / z[inside][good] ** 2
        total[inside[good]] += view.image[row[good], column[good]] * near[:, None]
        weight[inside[good]] += near
    known = weight > 0
    colours = np.full((len(vertices), 3), 0.75)
    if known.any():
        colours[known] = total[known] / weight[known, None]
        nearest = cKDTree(vertices[known]).query(vertices[~known])[1]
        colours[~known] = 0.6 * colours[known][nearest] + 0.4 * 0.75  # paler: a guess
    return np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)
