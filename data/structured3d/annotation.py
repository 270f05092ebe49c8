"""`annotation_3d.json`: the structure of a scene as primitives and what lies on what. Millimetres, z up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fewview.data.structured3d.documents import read_document, write_document
from fewview.recon.io.documents import finite

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Junction:
    ID: int
    coordinate: Vector


@dataclass(frozen=True)
class Line:
    ID: int
    point: Vector
    direction: Vector


@dataclass(frozen=True)
class Plane:
    """normal . X + offset = 0; the normal is unit and points to the empty space."""

    ID: int
    type: str
    """`wall`, `floor` or `ceiling`."""
    normal: Vector
    offset: float


@dataclass(frozen=True)
class Group:
    """Planes that belong together: a room, door or window (`type`), a cuboid or a Manhattan structure (no type)."""

    ID: int
    planeID: tuple[int, ...]
    type: str | None = None


@dataclass(frozen=True)
class Annotation:
    junctions: tuple[Junction, ...]
    lines: tuple[Line, ...]
    planes: tuple[Plane, ...]
    semantics: tuple[Group, ...]
    plane_lines: tuple[tuple[int, ...], ...]
    """1 where the line (column) lies on the plane (row)."""
    line_junctions: tuple[tuple[int, ...], ...]
    """1 where the junction (column) lies on the line (row)."""
    cuboids: tuple[Group, ...] = field(default=())
    manhattan: tuple[Group, ...] = field(default=())

    def room_planes(self, room: int) -> list[Plane]:
        """Planes of the semantic group `room`.

        Raises:
            KeyError: there is no such group.
        """
        group = next((group for group in self.semantics if room == group.ID), None)
        if group is None:
            raise KeyError(f"semantic {room}")
        return [self.planes[i] for i in group.planeID]

    def outline(self, plane: int) -> Float[np.ndarray, "N 3"]:
        """Corners of a plane's polygon in order, metres; of its longest loop where there are several.

        Raises:
            ValueError: the plane's lines do not close.
        """
        edges = [
            [j for j, on in enumerate(self.line_junctions[i]) if on]
            for i, on in enumerate(self.plane_lines[plane])
            if on
        ]
        loops = _loops([(pair[0], pair[1]) for pair in edges if len(pair) == 2])
        if not loops:
            raise ValueError(f"the lines of plane {plane} do not close")
        return np.array([self.junctions[i].coordinate for i in max(loops, key=len)]) / 1000


def read_annotation(path: Path) -> Annotation:
    """Read `annotation_3d.json`.

    Raises:
        InputError: the file is missing or not in the format.
    """
    return read_document(path, _parse)


def write_annotation(path: Path, annotation: Annotation) -> None:
    """Write `annotation_3d.json`; it reads back equal."""
    document = {
        "junctions": [asdict(junction) for junction in annotation.junctions],
        "lines": [asdict(line) for line in annotation.lines],
        "planes": [asdict(plane) for plane in annotation.planes],
        "semantics": [asdict(group) for group in annotation.semantics],
        "planeLineMatrix": annotation.plane_lines,
        "lineJunctionMatrix": annotation.line_junctions,
        "cuboids": [{"ID": group.ID, "planeID": group.planeID} for group in annotation.cuboids],
        "manhattan": [{"ID": group.ID, "planeID": group.planeID} for group in annotation.manhattan],
    }
    write_document(path, document)


def _parse(document: dict[str, Any]) -> Annotation:
    annotation = Annotation(
        junctions=tuple(Junction(int(entry["ID"]), _vector(entry["coordinate"])) for entry in document["junctions"]),
        lines=tuple(
            Line(int(entry["ID"]), _vector(entry["point"]), _vector(entry["direction"])) for entry in document["lines"]
        ),
        planes=tuple(
            Plane(int(entry["ID"]), str(entry["type"]), _vector(entry["normal"]), finite(entry["offset"]))
            for entry in document["planes"]
        ),
        semantics=tuple(_group(entry) for entry in document["semantics"]),
        plane_lines=tuple(map(tuple, document["planeLineMatrix"])),
        line_junctions=tuple(map(tuple, document["lineJunctionMatrix"])),
        cuboids=tuple(_group(entry) for entry in document.get("cuboids", ())),
        manhattan=tuple(_group(entry) for entry in document.get("manhattan", ())),
    )
    sizes = len(annotation.planes), len(annotation.lines), len(annotation.junctions)
    _check_shape(annotation.plane_lines, *sizes[:2])
    _check_shape(annotation.line_junctions, *sizes[1:])
    if not all(0 <= plane < sizes[0] for group in annotation.semantics for plane in group.planeID):
        raise ValueError("a room names a plane that is not in the list")
    return annotation


def _check_shape(matrix: tuple[tuple[int, ...], ...], rows: int, columns: int) -> None:
    if len(matrix) != rows or any(len(row) != columns for row in matrix):
        raise ValueError(f"a matrix is not of {rows} rows and {columns} columns")


def _group(entry: dict[str, Any]) -> Group:
    return Group(int(entry["ID"]), tuple(map(int, entry["planeID"])), entry.get("type"))


def _vector(values: list[float]) -> Vector:
    x, y, z = map(finite, values)
    return x, y, z


def _loops(edges: list[tuple[int, int]]) -> list[list[int]]:
    """Closed walks along edges of a graph whose nodes have two edges each."""
    left = list(edges)
    loops = []
    while left:
        loop = list(left.pop(0))
        while loop[0] != loop[-1]:
            following = next((edge for edge in left if loop[-1] in edge), None)
            if following is None:
                break
            left.remove(following)
            loop.append(following[0] if following[1] == loop[-1] else following[1])
        if len(loop) > 3 and loop[0] == loop[-1]:
            loops.append(loop[:-1])
    return loops
