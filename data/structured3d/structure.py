"""The empty shell of a gallery room as Structured3D describes it: its scene, and each view of it."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from fewview.data.gallery import Room
from fewview.data.gallery.beyond import Hole, find_holes
from fewview.data.gallery.layout import walls
from fewview.data.structured3d import projection
from fewview.data.structured3d.annotation import Annotation, Group, Junction, Line, Plane, Vector
from fewview.data.structured3d.layouts import Rings, ViewJunction, ViewLayout, ViewPlane
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import View

FLOOR, CEILING, FIRST_WALL = 0, 1, 2
"""Places of a room's planes."""


def annotate(room: Room, room_id: int) -> Annotation:
    """The scene that consists of this room; doors and windows are rectangles on their walls."""
    build = _Builder()
    low, high = ([build.junction((*corner, z)) for corner in 1000 * room.polygon] for z in (0.0, 1000 * room.height))
    faces = [_ring(low), _ring(high)]
    faces += [[(a, b), (b, d), (d, c), (c, a)] for (a, b), (c, d) in zip(_ring(low), _ring(high), strict=True)]
    for plane, edges in zip(room.planes, faces, strict=True):
        build.plane(plane.kind, plane.normal, 1000 * plane.offset, edges)
    semantics = [Group(room_id, tuple(range(len(room.planes))), "living room")]
    for hole in find_holes(room.layout):
        corners = [build.junction(tuple(corner)) for corner in 1000 * _corners(room, hole)]
        wall = room.planes[FIRST_WALL + hole.wall]
        number = build.plane("wall", wall.normal, 1000 * wall.offset, _ring(corners))
        semantics.append(Group(room_id + len(semantics), (number,), hole.kind))
    return build.finished(tuple(semantics), len(room.planes), room.shape)


def view_layout(room: Room, view: View) -> ViewLayout:
    """What the view sees of the empty room."""
    polygon, height, eye = room.polygon, room.height, view.center[:2]
    pieces = projection.visible_pieces(polygon, eye)
    star = np.concatenate([part for _, part in pieces])
    visible = {FLOOR: [_flat(star, 0.0)], CEILING: [_flat(star, height)]}
    amodal = {FLOOR: [_flat(polygon, 0.0)], CEILING: [_flat(polygon, height)]}
    for index, (start, end, _) in enumerate(walls(polygon)):
        amodal[FIRST_WALL + index] = [_upright(np.stack([start, end]), height)]
        visible[FIRST_WALL + index] = [_upright(part, height) for edge, part in pieces if edge == index]
    table = _JunctionTable(room, view)
    planes = []
    for index, plane in enumerate(room.planes):
        masks: list[Rings] = []
        for outlines in (visible, amodal):
            rings = [ring for outline in outlines[index] for ring in projection.project(outline, view)]
            masks.append(tuple(table.ring(ring, outlines is visible) for ring in rings))
        if masks[1]:
            normal = plane.normal @ view.T_world_camera[:3, :3] * [1, -1, 1]
            offset = 1000 * (plane.offset + plane.normal @ view.center)
            planes.append(ViewPlane(index, plane.kind, _vector(normal), float(offset), *masks))
    return ViewLayout(tuple(table.junctions), tuple(planes))


class _Builder:
    """Collects junctions, lines and planes, and what lies on what."""

    def __init__(self) -> None:
        self.junctions: list[Junction] = []
        self.lines: dict[tuple[int, int], int] = {}
        self.planes: list[Plane] = []
        self.edges: list[list[int]] = []

    def junction(self, coordinate: tuple[float, ...]) -> int:
        self.junctions.append(Junction(len(self.junctions), _vector(np.array(coordinate))))
        return len(self.junctions) - 1

    def plane(self, kind: str, normal: np.ndarray, offset: float, edges: list[tuple[int, int]]) -> int:
        self.planes.append(Plane(len(self.planes), kind, _vector(normal), float(offset)))
        pairs = [(min(edge), max(edge)) for edge in edges]
        self.edges.append([self.lines.setdefault(pair, len(self.lines)) for pair in pairs])
        return len(self.planes) - 1

    def finished(self, semantics: tuple[Group, ...], shell: int, shape: str) -> Annotation:
        places = np.array([junction.coordinate for junction in self.junctions])
        lines, on_line = [], np.zeros((len(self.lines), len(self.junctions)), int)
        for (a, b), number in self.lines.items():
            way = places[b] - places[a]
            lines.append(Line(number, _vector(places[a]), _vector(way / np.linalg.norm(way))))
            on_line[number, [a, b]] = 1
        on_plane = np.zeros((len(self.planes), len(lines)), int)
        for plane, edges in enumerate(self.edges):
            on_plane[plane, edges] = 1
        whole = (Group(0, tuple(range(shell))),)
        return Annotation(
            tuple(self.junctions),
            tuple(lines),
            tuple(self.planes),
            semantics,
            tuple(map(tuple, on_plane.tolist())),
            tuple(map(tuple, on_line.tolist())),
            cuboids=whole if shape == "rectangle" else (),
            manhattan=whole if shape != "slanted" else (),
        )


class _JunctionTable:
    """Places in an image, each once; those of the room's corners carry the corners' numbers."""

    def __init__(self, room: Room, view: View) -> None:
        self.junctions: list[ViewJunction] = []
        self._place: dict[tuple[float, float], int] = {}
        self._corners: dict[tuple[float, float], tuple[int, bool]] = {}
        seen = projection.corners_in_sight(room.polygon, view.center[:2])
        for storey, z in enumerate((0.0, room.height)):
            pixels = view.camera.project(transform(view.T_camera_world, _flat(room.polygon, z)))
            for number, pixel in enumerate(pixels):
                if np.isfinite(pixel).all():
                    key = self._key(pixel)
                    self._corners[key] = (storey * len(room.polygon) + number, bool(seen[number]))

    def ring(self, pixels: Float[np.ndarray, "N 2"], visible: bool) -> tuple[int, ...]:
        """Places of a polygon's corners; they are added where new."""
        return tuple(self._add(pixel, visible) for pixel in pixels)

    def _add(self, pixel: np.ndarray, visible: bool) -> int:
        key = self._key(pixel)
        if key not in self._place:
            self._place[key] = len(self.junctions)
            number, seen = self._corners.get(key, (None, visible))
            self.junctions.append(ViewJunction(number, (float(pixel[0]), float(pixel[1])), seen))
        return self._place[key]

    @staticmethod
    def _key(pixel: np.ndarray) -> tuple[float, float]:
        return round(float(pixel[0]), 4) + 0.0, round(float(pixel[1]), 4) + 0.0


def _corners(room: Room, hole: Hole) -> Float[np.ndarray, "4 3"]:
    """Of a door or window on its wall, metres."""
    a, b, _ = walls(room.polygon)[hole.wall]
    way = (b - a) / np.linalg.norm(b - a)
    plan = np.stack([a + t * way for t in (hole.start, hole.end, hole.end, hole.start)])
    return np.concatenate([plan, np.array([[hole.low], [hole.low], [hole.high], [hole.high]])], 1)


def _ring(places: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise([*places, places[0]]))


def _flat(plan: Float[np.ndarray, "N 2"], z: float) -> Float[np.ndarray, "N 3"]:
    return np.concatenate([plan, np.full((len(plan), 1), z)], 1)


def _upright(part: Float[np.ndarray, "2 2"], height: float) -> Float[np.ndarray, "4 3"]:
    return np.concatenate([_flat(part, 0.0), _flat(part[::-1], height)])


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
