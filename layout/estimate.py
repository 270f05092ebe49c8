"""From posed depth maps to a room layout: the whole method in order. Metres.

Normals -> gravity and wall directions -> floor and ceiling -> directed wall lines -> cells and minimal cut -> polygon
-> joint fit. After the spirit of Plane-DUSt3R (2025), whose learned parts it does without, and of floor plans by cell
complexes (Mura et al. 2014; Fang et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.layout import doubt, freespace
from fewview.layout import tolerances as tol
from fewview.layout.doubt import NoRoomError
from fewview.layout.floorplan import label_cells, room_cells
from fewview.layout.gravity import settle_up, upright_frame, wall_directions
from fewview.layout.levels import Level, find_levels
from fewview.layout.model import RoomLayout, Slab, Wall
from fewview.layout.polygon import Boundary, fit, on_edge, simplify, straighten, trace, turn_oblique, without_notches
from fewview.layout.surfaces import DepthView, Surfaces, gather, mutual_scales
from fewview.layout.walls import Line, WallLine, find_walls
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage, mean_up


def upright_surfaces(
    views: Sequence[DepthView], photos: Sequence[PosedImage], progress: Progress
) -> tuple[Surfaces, Float[np.ndarray, "3 3"]]:
    """Surface points in an upright frame (z up), and the rotation R_room_world into it.

    Args:
        views, photos: of the same world; edges of the photos say exactly what is up.

    Raises:
        ReconstructionError: nothing is level or upright.
    """
    scales = mutual_scales(views)
    surfaces = gather(views).rescaled(scales)
    up = settle_up(surfaces, photos, mean_up([view.T_world_camera for view in views]), progress)
    R = upright_frame(up, views[0].T_world_camera[:3, 0])
    return surfaces.rotated(R), R


def estimate(surfaces: Surfaces, R_upright_world: Float[np.ndarray, "3 3"]) -> RoomLayout:
    """The layout that surface points in an upright frame support. Its axes are those that most walls follow.

    Args:
        surfaces: metres, z up.
        R_upright_world: the rotation that brought them there.

    Raises:
        NoRoomError: there is no closed room around the cameras, or too little of one was seen.
    """
    yaw, oblique = wall_directions(surfaces)
    turn = Rotation.from_euler("z", -yaw).as_matrix()
    surfaces, oblique = surfaces.rotated(turn), [angle - yaw for angle in oblique]
    floor, ceiling = find_levels(surfaces)
    walls = find_walls(surfaces, floor.height, ceiling.height, oblique)
    surfaces = surfaces.take(freespace.indoors(surfaces, walls, floor.height))
    floor, ceiling = find_levels(surfaces)
    walls = find_walls(surfaces, floor.height, ceiling.height, oblique)
    space = freespace.observe(surfaces, floor.height, ceiling.height)
    labelling = label_cells(walls, space, surfaces.centers[:, :2])
    room = room_cells(labelling, surfaces.centers[:, :2])
    if not room.any():
        raise NoRoomError("no walls enclose the cameras")
    boundary = trace(labelling.arrangement, room)
    boundary = simplify(boundary, _support(boundary, walls))
    behind = space.centers()[space.behind.ravel() > 0]
    boundary = without_notches(boundary, _support(boundary, walls), behind)
    boundary = turn_oblique(straighten(boundary), surfaces)
    boundary, scales = fit(boundary, surfaces)
    boundary = simplify(boundary, _support(boundary, walls))
    fitted = surfaces.rescaled(scales)
    layout = _assemble(boundary, fitted, floor, ceiling, turn @ R_upright_world)
    doubt.check(doubt.evidence(layout, fitted))
    return layout


def _support(boundary: Boundary, walls: Sequence[WallLine]) -> list[float]:
    """Supported length of every edge."""
    corners = boundary.corners()
    out = []
    for index, line in enumerate(boundary.lines):
        t = [float(corner @ line.tangent) for corner in (corners[index], corners[(index + 1) % len(corners)])]
        covers = [wall.cover(*t) for wall in walls if _same(wall, line)]
        out.append(max(covers, default=0.0) * abs(t[1] - t[0]))
    return out


def _same(wall: Line, line: Line) -> bool:
    return np.cos(wall.angle - line.angle) > 0.999 and abs(wall.offset - line.offset) < tol.SUPPORT_REACH_M


def _assemble(
    boundary: Boundary, surfaces: Surfaces, floor: Level, ceiling: Level, R_room_world: Float[np.ndarray, "3 3"]
) -> RoomLayout:
    corners = boundary.corners()
    walls = []
    for index, line in enumerate(boundary.lines):
        start, end = corners[index], corners[(index + 1) % len(corners)]
        near = on_edge(line, start, end, surfaces, tol.WALL_SEEN_M)
        share = _supported_share(surfaces.xyz[near], start, end)
        walls.append(Wall(start, end, share >= tol.OBSERVED_SHARE, round(share, 3)))
    area = abs(_area(corners))
    slabs = [Slab(level.height, level.observed, round(min(1.0, level.area / area), 3)) for level in (floor, ceiling)]
    return RoomLayout(R_room_world, tuple(walls), *slabs)


def _supported_share(points: Float[np.ndarray, "N 3"], start: np.ndarray, end: np.ndarray) -> float:
    """Share of the columns of 10 cm between two corners with at least two points."""
    length = float(np.linalg.norm(end - start))
    count = max(1, round(length / tol.SHARE_COLUMN_M))
    t = (points[:, :2] - start) @ (end - start) / length**2 * count
    return float((np.bincount(np.clip(t.astype(int), 0, count - 1), minlength=count) >= 2).mean())


def _area(polygon: Float[np.ndarray, "N 2"]) -> float:
    x, y = polygon.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
