"""Writes a synthetic room as a photo set: photos, `cameras.json`, exact truth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fewview.data.gallery.room import Room, Shot
from fewview.recon.scene import Camera

_EXIF_FOCAL, _EXIF_FOCAL_35MM, _EXIF_IFD = 0x920A, 0xA405, 0x8769
_EXIF_MAKE, _EXIF_MODEL = 0x010F, 0x0110


def write_photoset(shots: Sequence[Shot], name: str, folder: Path) -> None:
    """Write `images/*.jpg`, which record no lens, and `cameras.json`, in the format of `fewview.data.photosets`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for shot in shots:
        Image.fromarray(shot.image).save(folder / "images" / shot.view.name, quality=95)
    frames = [_frame(shot) for shot in shots]
    _write_json(folder / "cameras.json", {"name": name, "units": "metre", "frames": frames})


def write_scene(room: Room, folder: Path, exif: bool = True) -> None:
    """Write `images/*.jpg`, `cameras.json` and `truth/`; equal rooms give equal bytes.

    - `cameras.json` is in the format of `fewview.data.photosets` (the first pixel's centre is (0, 0) there), metres.
    - `truth/<stem>.npz`: `depth` (H, W) float32 z-depth in metres, `normal` (H, W, 3) float32 unit, camera
      frame,
      towards the camera, `instance` (H, W) int32.
    - `truth/room.json`: floor polygon, height, planes (n . X + d = 0, n into the room), instances.

    Args:
        exif: state the focal length as phones do, rounded to a millimetre of 35 mm film.
    """
    for part in ("images", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for shot in room.shots:
        stem = Path(shot.view.name).stem
        tags = _exif(shot.view.camera) if exif else Image.Exif()
        Image.fromarray(shot.image).save(folder / "images" / shot.view.name, quality=95, exif=tags)
        np.savez(folder / "truth" / f"{stem}.npz", depth=shot.depth, normal=shot.normal, instance=shot.instance)
    frames = [_frame(shot) for shot in room.shots]
    name = f"room_{room.shape}_{room.seed}"
    _write_json(folder / "cameras.json", {"name": name, "units": "metre", "frames": frames})
    document = {
        "shape": room.shape,
        "floor": room.polygon.tolist(),
        "height": room.height,
        "planes": [
            {
                "type": plane.kind,
                "normal": plane.normal.tolist(),
                "offset": plane.offset,
                "instance": plane.instance,
            }
            for plane in room.planes
        ],
        "instances": {str(number): kind for number, kind in room.instances.items()},
    }
    _write_json(folder / "truth" / "room.json", document)


def _frame(shot: Shot) -> dict[str, object]:
    camera = shot.view.camera
    return {
        "file": f"images/{shot.view.name}",
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx - 0.5,
        "cy": camera.cy - 0.5,
        "world_from_camera": shot.view.T_world_camera.tolist(),
    }


def _exif(camera: Camera) -> Image.Exif:
    """The equivalent focal length compares diagonals: that of 35 mm film is 43.27 mm (CIPA DCG-001)."""
    equivalent = camera.fx / math.hypot(camera.width, camera.height) * math.hypot(36, 24)
    tags = Image.Exif()
    tags[_EXIF_MAKE], tags[_EXIF_MODEL] = "fewview", "synthetic room"
    tags.get_ifd(_EXIF_IFD)[_EXIF_FOCAL_35MM] = round(equivalent)
    return tags


def _write_json(path: Path, document: dict[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
