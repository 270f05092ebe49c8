"""Writes what `splatting.optimize` found (docs/artifacts.md, `splat/`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from recon.io.cameras import read_cameras
from recon.io.colmap import read_model, write_camera_exports


def write_refined_cameras(
    out: Path, cameras: Path, names: Sequence[str], Ts_world_camera: Float[np.ndarray, "V 4 4"]
) -> None:
    """Write `cameras.json`, `transforms.json` and `sparse/0` with the poses that the splats settled on.

    Args:
        out: folder to write into.
        cameras: the `cameras` artifact whose intrinsics, points and verdicts stay.
        names: of V views.
        Ts_world_camera: their poses, camera to world.
    """
    before = read_cameras(cameras)
    poses = dict(zip(names, Ts_world_camera, strict=True))
    views = [replace(view, T_world_camera=poses[view.name]) for view in before.views]
    modelled, points = read_model(cameras / "sparse" / "0")
    place = {view.name: index for index, view in enumerate(views)}
    tracks = [[(place[modelled[index].name], xy) for index, xy in track] for track in points.tracks]
    refined = replace(before, views=views)
    write_camera_exports(out, refined, replace(points, tracks=tracks))


def write_training(out: Path, facts: Mapping[str, Any]) -> None:
    """Write `training.json`."""
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)
    (out / "training.json").write_text(text + "\n", encoding="utf-8")
