"""Synthetic furnished rooms with exact truth: photos, depth, normals, poses, planes."""

from data.gallery.room import Plane, Room, Shot, generate
from data.gallery.writing import write_scene

__all__ = ["Plane", "Room", "Shot", "generate", "write_scene"]
