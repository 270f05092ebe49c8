"""Checks that COLMAP's binary files hold as much as they announce, before pycolmap reads them: it believes their
counts, and fills memory without end where they are wrong (format: COLMAP's src/colmap/scene/reconstruction_io.cc)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")
"""Identity, model, width, height; then the parameters."""
_PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)
"""How many, by model: SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL and so on."""
_POSE, _SENSOR = 56, 8
_IMAGE_HEAD, _OBSERVATION = 64, 24
_POINT_HEAD, _TRACK_ELEMENT = 43, 8
_RIG = struct.Struct("<II")
_FRAME_HEAD, _FRAME_DATA = 64, 16


class _Cursor:
    """A place in a file's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise ValueError("it is cut short")

    def take(self, layout: struct.Struct) -> tuple[int, ...]:
        self.skip(layout.size)
        return layout.unpack_from(self.data, self.at - layout.size)

    def text(self) -> None:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ValueError("it is cut short")
        self.at = end + 1


def check_binary(folder: Path) -> None:
    """Raises ValueError where a file of the binary model in `folder` is shorter or longer than it announces."""
    for name, walk in _WALKS.items():
        if (folder / name).is_file():
            cursor = _Cursor((folder / name).read_bytes())
            try:
                for _ in range(cursor.take(_COUNT)[0]):
                    walk(cursor)
                if cursor.at < len(cursor.data):
                    raise ValueError("it holds more than it announces")
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


def _camera(cursor: _Cursor) -> None:
    _, model, _, _ = cursor.take(_CAMERA)
    if not 0 <= model < len(_PARAMETERS):
        raise ValueError(f"there is no camera model {model}")
    cursor.skip(8 * _PARAMETERS[model])


def _image(cursor: _Cursor) -> None:
    cursor.skip(_IMAGE_HEAD)
    cursor.text()
    cursor.skip(_OBSERVATION * cursor.take(_COUNT)[0])


def _point(cursor: _Cursor) -> None:
    cursor.skip(_POINT_HEAD)
    cursor.skip(_TRACK_ELEMENT * cursor.take(_COUNT)[0])


def _rig(cursor: _Cursor) -> None:
    _, sensors = cursor.take(_RIG)
    cursor.skip(_SENSOR if sensors else 0)
    for _ in range(sensors - 1):
        cursor.skip(_SENSOR + 1)
        cursor.skip(_POSE if cursor.data[cursor.at - 1] else 0)


def _frame(cursor: _Cursor) -> None:
    cursor.skip(_FRAME_HEAD)
    cursor.skip(_FRAME_DATA * cursor.take(struct.Struct("<I"))[0])


_WALKS: dict[str, Callable[[_Cursor], None]] = {
    "cameras.bin": _camera,
    "images.bin": _image,
    "points3D.bin": _point,
    "rigs.bin": _rig,
    "frames.bin": _frame,
}
