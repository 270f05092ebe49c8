"""Synthetic furnished rooms with exact truth: photos, depth, normals, poses, planes."""

from fewview.data.gallery.deceiving import DECEITS, Deceit, deceive
from fewview.data.gallery.room import Plane, Room, Shot, generate
from fewview.data.gallery.writing import write_scene

__all__ = ["DECEITS", "Deceit", "Plane", "Room", "Shot", "deceive", "generate", "write_scene"]
