"""Folders of Structured3D: which rooms there are, and what is true of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from fewview.data.structured3d.annotation import Annotation, Plane, read_annotation
from fewview.data.structured3d.errata import INVALID_ROOMS, INVALID_SCENES
from fewview.data.structured3d.layouts import ViewLayout, read_layout
from fewview.data.structured3d.poses import read_pose
from fewview.recon.errors import InputError
from fewview.recon.scene import View

PHOTO = "rgb_rawlight.png"


@dataclass(frozen=True)
class RoomFolder:
    """One room with its perspective views. World frame: metres, z up."""

    folder: Path
    """`scene_%05d/2D_rendering/<room>`."""

    @property
    def scene(self) -> int:
        return int(self.folder.parents[1].name.removeprefix("scene_"))

    @property
    def name(self) -> str:
        return f"{self.folder.parents[1].name}_room_{self.folder.name}"

    @cached_property
    def view_folders(self) -> list[Path]:
        """In the order of their numbers."""
        found = [path for path in (self.folder / "perspective" / "full").iterdir() if (path / PHOTO).is_file()]
        return sorted(found, key=lambda path: (not path.name.isdigit(), path.name.zfill(8)))

    @property
    def photos(self) -> list[Path]:
        return [folder / PHOTO for folder in self.view_folders]

    def views(self) -> list[View]:
        """Named by their folders.

        Raises:
            InputError: a camera or photo is unreadable.
        """
        return [read_pose(path / "camera_pose.txt", path.name, _size(path / PHOTO)) for path in self.view_folders]

    def layouts(self) -> list[ViewLayout]:
        return [read_layout(path / "layout.json") for path in self.view_folders]

    @cached_property
    def annotation(self) -> Annotation:
        return read_annotation(self.folder.parents[1] / "annotation_3d.json")

    def seen_planes(self) -> list[Plane]:
        """Planes of the scene that any view sees, in the order of their numbers."""
        seen = {plane.ID for layout in self.layouts() for plane in layout.planes if plane.visible_mask}
        return [plane for plane in self.annotation.planes if plane.ID in seen]

    def floor(self) -> Float[np.ndarray, "N 2"]:
        """The floor polygon, metres.

        Raises:
            InputError: the scene has no closed floor for this room.
        """
        try:
            planes = self.annotation.room_planes(int(self.folder.name))
            floor = next(plane for plane in planes if plane.type == "floor")
            return self.annotation.outline(floor.ID)[:, :2]
        except (KeyError, ValueError, StopIteration) as error:
            raise InputError(f"{self.name} has no floor polygon: {error}.", "Leave this room out.") from error

    def height(self) -> float:
        """From floor to ceiling, metres.

        Raises:
            InputError: the scene has no floor or ceiling for this room.
        """
        try:
            planes = {plane.type: plane for plane in self.annotation.room_planes(int(self.folder.name))}
            return (planes["floor"].offset + planes["ceiling"].offset) / 1000
        except KeyError as error:
            raise InputError(f"{self.name} has no height: it lacks {error}.", "Leave this room out.") from error

    def openings(self) -> Float[np.ndarray, "O 4 3"]:
        """Corners of the doors and windows on this room's walls, metres: along the foot, then back along the top."""
        walls = [plane for plane in self.annotation.room_planes(int(self.folder.name)) if plane.type == "wall"]
        out = []
        for group in self.annotation.semantics:
            if group.type not in ("door", "window"):
                continue
            for number in group.planeID:
                corners = self.annotation.outline(number)
                off = [np.abs(corners @ plane.normal + plane.offset / 1000).max() for plane in walls]
                if min(off) < 0.05:
                    foot = corners[np.argsort(corners[:, 2], kind="stable")[:2]]
                    up = np.array([0, 0, np.ptp(corners[:, 2])])
                    out.append([foot[0], foot[1], foot[1] + up, foot[0] + up])
        return np.array(out).reshape(-1, 4, 3)


def find_rooms(root: Path) -> list[RoomFolder]:
    """All rooms below `root` with perspective views, but for those that the errata list; sorted.

    Raises:
        InputError: there is none.
    """
    rooms = []
    for folder in sorted(root.glob("scene_*/2D_rendering/*/perspective/full")):
        room = RoomFolder(folder.parents[1])
        if not re.fullmatch(r"scene_\d{5,}", folder.parents[3].name) or not room.folder.name.isdigit():
            continue
        if room.scene in INVALID_SCENES or (room.scene, int(room.folder.name)) in INVALID_ROOMS:
            continue
        if room.view_folders:
            rooms.append(room)
    if not rooms:
        raise InputError(
            f"{root} holds no room in Structured3D's format.",
            "Name the folder that holds scene_00000 and so on, or write one with `fewview synth rooms`.",
        )
    return rooms


def _size(photo: Path) -> tuple[int, int]:
    try:
        with Image.open(photo) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{photo} is not an image that can be read: {error}.", "Download or write it again."
        ) from error
