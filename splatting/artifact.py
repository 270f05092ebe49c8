"""Writes what `fewview.splatting.optimize` found, and reads what later stages need (docs/artifacts.md, `splat/`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from fewview.recon.io.cameras import read_cameras
from fewview.recon.scene import View


def write_refined_cameras(
    out: Path,
    cameras: Path,
    names: Sequence[str],
    Ts_world_camera: Float[np.ndarray, "V 4 4"],
    focal_factors: Sequence[float],
) -> None:
    """Write `cameras.json`, `transforms.json` and `sparse/0` with the cameras that the splats settled on.

    Args:
        out: folder to write into.
        cameras: the `cameras` artifact whose points and verdicts stay.
        names: of V views.
        Ts_world_camera: their poses, camera to world.
        focal_factors: by which their focal lengths change.
    """
    from fewview.recon.io.colmap import read_model, write_camera_exports  # pycolmap takes a second to import

    before = read_cameras(cameras)
    refined_to = dict(zip(names, zip(Ts_world_camera, focal_factors, strict=True), strict=True))
    views = [_refined(view, *refined_to[view.name]) for view in before.views]
    modelled, points = read_model(cameras / "sparse" / "0")
    place = {view.name: index for index, view in enumerate(views)}
    tracks = [[(place[modelled[index].name], xy) for index, xy in track] for track in points.tracks]
    refined = replace(before, views=views)
    write_camera_exports(out, refined, replace(points, tracks=tracks))


def _refined(view: View, T_world_camera: Float[np.ndarray, "4 4"], focal_factor: float) -> View:
    camera = replace(view.camera, fx=view.camera.fx * focal_factor, fy=view.camera.fy * focal_factor)
    return replace(view, camera=camera, T_world_camera=T_world_camera)


class PhotoExposure(NamedTuple):
    """A photo's fitted exposure and white balance: photo = gain * render + offset."""

    gain: Float32[np.ndarray, " 3"]
    offset: Float32[np.ndarray, " 3"]


def write_training(out: Path, facts: Mapping[str, Any]) -> None:
    """Write `training.json`."""
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)
    (out / "training.json").write_text(text + "\n", encoding="utf-8")


class TrainingRecord(NamedTuple):
    """How the splats came about."""

    backend: str
    """`cpu` or `cuda`."""
    gaussians: int
    steps: Sequence[int]
    psnr_db: Sequence[float]
    """Of the photo of each step, before it."""


def read_training(folder: Path) -> TrainingRecord:
    """From the `training.json` in the `splat` artifact."""
    stored = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return TrainingRecord(stored["backend"], stored["gaussians"], stored["curve"]["steps"], stored["curve"]["psnr"])


def read_exposures(folder: Path) -> dict[str, PhotoExposure]:
    """Of each view, by its name, from the `training.json` in the `splat` artifact."""
    fitted = json.loads((folder / "training.json").read_text(encoding="utf-8"))["exposure"]
    return {
        name: PhotoExposure(np.array(entry["gain"], np.float32), np.array(entry["offset"], np.float32))
        for name, entry in fitted.items()
    }
