"""Writes gallery rooms as scenes of Structured3D."""

from __future__ import annotations

from pathlib import Path

from fewview.data.gallery import Room
from fewview.data.structured3d import images
from fewview.data.structured3d.annotation import write_annotation
from fewview.data.structured3d.layouts import write_layout
from fewview.data.structured3d.poses import write_pose
from fewview.data.structured3d.scenes import PHOTO, RoomFolder
from fewview.data.structured3d.structure import annotate, view_layout


def write_room(room: Room, root: Path, scene: int, room_id: int = 0) -> RoomFolder:
    """Write `scene_%05d` below `root`; equal rooms give equal bytes.

    Raises:
        ValueError: a principal point is off the middle of its image, which the format cannot express (rooms
            generated with `walk="around"` are centred).
    """
    folder = root / f"scene_{scene:05d}"
    for index, shot in enumerate(room.shots):
        place = folder / "2D_rendering" / str(room_id) / "perspective" / "full" / str(index)
        place.mkdir(parents=True, exist_ok=True)
        view = shot.view
        images.write_rgb(place / PHOTO, shot.image)
        images.write_rgb(place / "albedo.png", shot.albedo)
        images.write_depth(place / "depth.png", shot.depth, view.camera)
        images.write_normals(place / "normal.png", shot.normal, view.T_world_camera)
        images.write_labels(place, shot.instance, room.instances)
        write_layout(place / "layout.json", view_layout(room, view))
        write_pose(place / "camera_pose.txt", view)
    write_annotation(folder / "annotation_3d.json", annotate(room, room_id))
    return RoomFolder(folder / "2D_rendering" / str(room_id))
