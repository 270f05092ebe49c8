"""Structured3D (Zheng et al. 2020): reader and writer of its perspective renderings and 3D annotations."""

from fewview.data.structured3d.annotation import Annotation, read_annotation, write_annotation
from fewview.data.structured3d.layouts import ViewLayout, read_layout, write_layout
from fewview.data.structured3d.scenes import RoomFolder, find_rooms
from fewview.data.structured3d.writing import write_room

__all__ = [
    "Annotation", "RoomFolder", "ViewLayout", "find_rooms", "read_annotation", "read_layout", "write_annotation",
    "write_layout", "write_room",
]  # fmt: skip
