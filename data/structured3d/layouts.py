"""`layout.json` of a perspective view: planes as polygons in the image, hidden and not, without furniture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from skimage.draw import polygon2mask

from fewview.data.structured3d.documents import read_document, write_document
from fewview.recon.io.documents import finite

Rings = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ViewJunction:
    ID: int | None
    """Junction of the scene; None where a line merely meets the image border or another wall."""
    coordinate: tuple[float, float]
    """Pixels: x, y."""
    isvisible: bool
    """Not hidden by another wall."""


@dataclass(frozen=True)
class ViewPlane:
    ID: int
    """Plane of the scene."""
    type: str
    normal: tuple[float, float, float]
    """Camera frame with x right, **y up**, z forward; into the room."""
    offset: float
    """Millimetres; normal . X + offset = 0."""
    visible_mask: Rings
    """Polygons of places in the list of junctions."""
    amodal_mask: Rings


@dataclass(frozen=True)
class ViewLayout:
    junctions: tuple[ViewJunction, ...]
    planes: tuple[ViewPlane, ...]

    def labels(self, size: tuple[int, int], resized: tuple[int, int]) -> Int[np.ndarray, "H W"]:
        """Place in `planes` of what each pixel shows, -1 for nothing.

        Args:
            size: width and height of the image that the coordinates are of.
            resized: width and height of the map.
        """
        scale = np.array(resized) / size
        corners = np.array([junction.coordinate for junction in self.junctions]).reshape(-1, 2) * scale - 0.5
        labels = np.full(resized[::-1], -1)
        for index, plane in enumerate(self.planes):
            for ring in plane.visible_mask:
                labels[polygon2mask(resized[::-1], corners[list(ring), ::-1])] = index
        return labels

    def plane(self, index: int) -> tuple[Float[np.ndarray, " 3"], float]:
        """Unit normal and offset of a plane in OpenCV's axes of the camera, metres."""
        return np.array(self.planes[index].normal) * [1, -1, 1], self.planes[index].offset / 1000


def read_layout(path: Path) -> ViewLayout:
    """Read `layout.json`.

    Raises:
        InputError: the file is missing or not in the format.
    """
    return read_document(path, _parse)


def write_layout(path: Path, layout: ViewLayout) -> None:
    """Write `layout.json`; it reads back equal."""
    write_document(path, asdict(layout))


def _parse(document: dict[str, Any]) -> ViewLayout:
    junctions = tuple(
        ViewJunction(
            None if entry["ID"] is None else int(entry["ID"]),
            (finite(entry["coordinate"][0]), finite(entry["coordinate"][1])),
            bool(entry["isvisible"]),
        )
        for entry in document["junctions"]
    )
    return ViewLayout(junctions, tuple(_plane(entry, len(junctions)) for entry in document["planes"]))


def _plane(entry: dict[str, Any], junctions: int) -> ViewPlane:
    x, y, z = map(finite, entry["normal"])
    masks = [tuple(tuple(map(int, ring)) for ring in entry[name]) for name in ("visible_mask", "amodal_mask")]
    if not all(ring for rings in masks for ring in rings):
        raise ValueError(f"a mask of plane {entry['ID']} is empty")
    if not all(0 <= place < junctions for rings in masks for ring in rings for place in ring):
        raise ValueError(f"a mask of plane {entry['ID']} names a junction that is not in the list")
    return ViewPlane(int(entry["ID"]), str(entry["type"]), (x, y, z), finite(entry["offset"]), *masks)
