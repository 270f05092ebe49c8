"""Writes C3D (Intel byte order, floats), the binary format of motion capture; see the manual at c3d.org."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fewview.calibration.formats.motion import MARKERS
from fewview.recon.geometry.pose import Z_UP

_BLOCK = 512
_PARAMETERS_AT = 2
"""The block, counted from 1, where parameters start."""
_MOST = 0xFFFF
_ROW = 255
"""Longest dimension of a parameter: further labels go to LABELS2 and so on."""

_Value = tuple[int, tuple[int, ...], bytes]
"""Type (-1 characters, 2 integers, 4 floats), dimensions, data."""


def write_c3d(path: Path, xyz: Float[np.ndarray, "T P J 3"], fps: float, units: str) -> None:
    """Write all people's joints, z up, in float32; metres become millimetres, as is usual.

    Labels are LShoulder and so on, with P1_, P2_ before them where there are several people. Unknown positions have
    residual -1, the format's mark for invalid points.

    Args:
        xyz: in the world of cameras.json; NaN where unknown.
        units: `metre` or `unknown`.
    """
    frames, people, joints, _ = xyz.shape
    labels = [f"P{p + 1}_{marker}" if people > 1 else marker for p in range(people) for marker in MARKERS]
    points = np.zeros((frames, people * joints, 4), "<f4")
    turned = (xyz @ Z_UP.T).reshape(frames, -1, 3) * (1000.0 if units == "metre" else 1.0)
    known = np.isfinite(turned).all(axis=-1)
    points[..., :3] = np.where(known[..., None], turned, 0.0)
    points[..., 3] = np.where(known, 0.0, -1.0)

    def groups(data_start: int) -> dict[str, dict[str, _Value]]:
        point = {
            "USED": _integers(points.shape[1]),
            "SCALE": _floats(-1.0),
            "RATE": _floats(fps),
            "DATA_START": _integers(data_start),
            "FRAMES": _integers(min(frames, _MOST)),
            "UNITS": _text("mm" if units == "metre" else units),
            "X_SCREEN": _text("+X"),
            "Y_SCREEN": _text("+Z"),
        }
        for start in range(0, len(labels), _ROW):
            number = "" if start == 0 else str(start // _ROW + 1)
            point[f"LABELS{number}"] = _texts(labels[start : start + _ROW])
            point[f"DESCRIPTIONS{number}"] = _texts(labels[start : start + _ROW])
        if frames > _MOST:
            point["LONG_FRAMES"] = _floats(float(frames))
        # Two 16-bit words each: the lower one first.
        last = _integers(frames % (_MOST + 1), frames // (_MOST + 1))
        trial = {"ACTUAL_START_FIELD": _integers(1, 0), "ACTUAL_END_FIELD": last}
        analog = {"USED": _integers(0), "GEN_SCALE": _floats(1.0), "RATE": _floats(0.0)}
        return {"POINT": point, "ANALOG": analog, "TRIAL": trial}

    blocks = len(_parameters(groups(0))) // _BLOCK  # the number of the data block does not change the size
    data_start = _PARAMETERS_AT + blocks
    header = struct.pack(
        "<BBHHHHHfHHf",
        *(_PARAMETERS_AT, 0x50, points.shape[1], 0, 1, min(frames, _MOST), 0, -1.0, data_start, 0, fps),
    )
    content = _padded(header) + _parameters(groups(data_start)) + points.tobytes()
    path.write_bytes(_padded(content))


def _parameters(groups: dict[str, dict[str, _Value]]) -> bytes:
    entries = b""
    for number, (name, values) in enumerate(groups.items(), start=1):
        entries += _entry(name, -number, b"")
        for parameter, (kind, dimensions, data) in values.items():
            head = struct.pack("<bB", kind, len(dimensions)) + bytes(dimensions)
            entries += _entry(parameter, number, head + data)
    blocks = len(_padded(bytes(4) + entries)) // _BLOCK
    return _padded(struct.pack("<BBBB", 1, 0x50, blocks, 84) + entries)  # 84: Intel


def _entry(name: str, group: int, body: bytes) -> bytes:
    """A group (negative number) or parameter; the empty byte at its end is its description's length."""
    offset = 2 + len(body) + 1
    return struct.pack("<bb", len(name), group) + name.encode("ascii") + struct.pack("<H", offset) + body + b"\0"


def _integers(*values: int) -> _Value:
    return 2, () if len(values) == 1 else (len(values),), struct.pack(f"<{len(values)}H", *values)


def _floats(value: float) -> _Value:
    return 4, (), struct.pack("<f", value)


def _text(value: str) -> _Value:
    return -1, (len(value),), value.encode("ascii")


def _texts(values: Sequence[str]) -> _Value:
    width = max(map(len, values))
    return -1, (width, len(values)), "".join(value.ljust(width) for value in values).encode("ascii")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _BLOCK)
