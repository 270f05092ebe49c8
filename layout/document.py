"""`layout.json`, and the per-view masks and depth that it names (docs/artifacts.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fewview.layout.measures import Measure, RoomMeasures, measure
from fewview.layout.model import Opening, RoomLayout, Slab, Wall
from fewview.layout.raycast import CEILING, FIRST_WALL, FLOOR, cast
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, finite, read_text
from fewview.recon.scale import Scale
from fewview.recon.scene import PosedImage

NOTHING = 255
"""In masks: no plane of the layout."""


def write_layout(
    out: Path,
    layout: RoomLayout | None,
    reason: str | None,
    scale: Scale,
    views: Sequence[PosedImage],
    keys: Sequence[str],
) -> None:
    """Write `layout.json`, `masks/` and `depth/`.

    Args:
        layout: None where the photos show no room.
        reason: why, then.
        views: at the size of masks and depth.
        keys: file stems of the views.
    """
    document: dict[str, Any] = {
        "room": layout is not None,
        "reason": reason,
        "units": scale.units,
        "scale_source": scale.source,
        "metre": scale.metre,
        "scale_interval": scale.interval,
        "scale_guess": scale.guess,
    }
    if layout is not None:
        document |= _described(layout, measure(layout, scale))
        document["views"] = [_write_view(out, layout, view, key) for view, key in zip(views, keys, strict=True)]
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    (out / "layout.json").write_text(text + "\n", encoding="utf-8")


def read_layout(path: Path) -> RoomLayout | None:
    """The layout in a `layout.json`; None where there is no room.

    Raises:
        InputError: the file is missing or is none.
    """
    try:
        document = json.loads(read_text(path, "Name a finished `layout` folder."))
        if not document["room"]:
            return None
        floor, ceiling = (
            Slab(
                finite(document[name]["height"]), bool(document[name]["observed"]), finite(document[name]["confidence"])
            )
            for name in ("floor", "ceiling")
        )
        walls = tuple(_wall(entry) for entry in document["walls"])
        R = np.array([[finite(value) for value in row] for row in document["R_room_world"]])
        if len(walls) < 3 or R.shape != (3, 3):
            raise ValueError("its walls or axes make no room")
        return RoomLayout(R, walls, floor, ceiling)
    except MALFORMED as error:
        raise InputError(f"{path} is not a layout.json of fewview: {error!r}.", "Write it again.") from error


def read_scale(path: Path) -> Scale:
    """What a `layout.json` says of its lengths, which are those of the world.

    Raises:
        InputError: as `read_layout`.
    """
    try:
        document = json.loads(read_text(path, "Name a finished `layout` folder."))
        ends, metre = document["scale_interval"], finite(document["metre"])
        interval = None if ends is None else (finite(ends[0]), finite(ends[1]))
        if metre <= 0 or (interval is not None and not 0 < interval[0] <= interval[1]):
            raise ValueError(f"a metre of {metre:g} units within {interval} is none")
        guess = bool(document["scale_guess"])
        return Scale(str(document["units"]), str(document["scale_source"]), interval, metre, guess)
    except MALFORMED as error:
        raise InputError(f"{path} is not a layout.json of fewview: {error!r}.", "Write it again.") from error


def _described(layout: RoomLayout, measures: RoomMeasures) -> dict[str, Any]:
    count = len(layout.walls)
    around = [[FIRST_WALL + i, FIRST_WALL + (i + 1) % count] for i in range(count)]
    kinds = ["floor", "ceiling", *["wall"] * count]
    parts: list[Slab | Wall] = [layout.floor, layout.ceiling, *layout.walls]
    corners = np.concatenate([layout.polygon, np.full((count, 1), layout.floor.height)], 1) @ layout.R_room_world
    return {
        "R_room_world": layout.R_room_world.tolist(),
        "floor": asdict(layout.floor),
        "ceiling": asdict(layout.ceiling),
        "height": layout.height,
        "height_m": _measured(measures.height),
        "area": layout.area,
        "area_m2": _measured(measures.area),
        "perimeter": layout.perimeter,
        "perimeter_m": _measured(measures.perimeter),
        "polygon": layout.polygon.tolist(),
        "corners_world": corners.tolist(),
        "walls": [
            _wall_entry(wall, index, layout.height) | {"length_m": _measured(measures.walls[index])}
            for index, wall in enumerate(layout.walls)
        ],
        "planes": [
            {
                "id": index, "type": kind, "normal": plane[:3].tolist(), "offset": float(plane[3]),
                "observed": part.observed, "confidence": part.confidence,
            }
            for index, (kind, plane, part) in enumerate(zip(kinds, layout.planes(), parts, strict=True))
        ],
        "adjacency": [
            *[[slab, FIRST_WALL + index] for slab in (FLOOR, CEILING) for index in range(count)],
            *around,
        ],
    }  # fmt: skip


def _measured(measure: Measure) -> dict[str, Any]:
    return {"value": measure.value, "interval": measure.interval}


def _wall_entry(wall: Wall, index: int, height: float) -> dict[str, Any]:
    return {
        "id": index,
        "plane": FIRST_WALL + index,
        "ax": float(wall.start[0]),
        "ay": float(wall.start[1]),
        "bx": float(wall.end[0]),
        "by": float(wall.end[1]),
        "length": wall.length,
        "height": height,
        "thickness": 0.0,
        "observed": wall.observed,
        "confidence": wall.confidence,
        "openings": [asdict(opening) for opening in wall.openings],
    }


def _wall(entry: dict[str, Any]) -> Wall:
    return Wall(
        np.array([finite(entry["ax"]), finite(entry["ay"])]),
        np.array([finite(entry["bx"]), finite(entry["by"])]),
        bool(entry["observed"]),
        finite(entry["confidence"]),
        tuple(_opening(opening) for opening in entry["openings"]),
    )


def _opening(entry: dict[str, Any]) -> Opening:
    return Opening(entry["kind"], *(finite(entry[name]) for name in ("start", "end", "low", "high", "confidence")))


def _write_view(out: Path, layout: RoomLayout, view: PosedImage, key: str) -> dict[str, Any]:
    labels, depth = cast(layout, view.camera, view.T_world_camera)
    for name in ("masks", "depth"):
        (out / name).mkdir(exist_ok=True)
    Image.fromarray(np.where(labels < 0, NOTHING, labels).astype(np.uint8)).save(out / "masks" / f"{key}.png")
    np.savez_compressed(out / "depth" / f"{key}.npz", depth=depth.astype(np.float32))
    seen = [int(label) for label in np.unique(labels) if label >= 0]
    return {"name": view.name, "mask": f"masks/{key}.png", "depth": f"depth/{key}.npz", "planes": seen}
