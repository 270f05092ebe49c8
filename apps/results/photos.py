"""What became of each photo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fewview.apps.results.model import PhotoResult, StageResult
from fewview.recon.depth import STAGE as DEPTH
from fewview.recon.io.cameras import CameraSet
from fewview.recon.photos import load_photos
from fewview.recon.scene import Camera
from fewview.recon.sfm import STAGE as CAMERAS

_IGNORED_STEP = 4
"""Where a comparison's error is so many grey levels from that of its two pictures, the pixel was ignored."""


def read_photos(out: Path, done: Mapping[str, StageResult], cameras: CameraSet | None) -> tuple[PhotoResult, ...]:
    """One a photo, in the order of the photos; none where they were not read in.

    Args:
        done: the finished stages.
        cameras: of the stage `cameras`, where it has finished.
    """
    if "photos" not in done:
        return ()
    verdicts = {verdict.name: verdict for verdict in cameras.verdicts} if cameras else {}
    angles = {view.name: _field_of_view_deg(view.camera) for view in cameras.views} if cameras else {}
    depths = {view.name: view for view in done[DEPTH.name].told(DEPTH).views} if DEPTH.name in done else {}
    bare = done[CAMERAS.name].told(CAMERAS).bare_sides if CAMERAS.name in done else ()
    weights = done["splat"].config["view_weights"] if "splat" in done else {}
    found = []
    for photo in load_photos(out / "photos", excluded=True):
        verdict, depth = verdicts.get(photo.name), depths.get(photo.name)
        comparison = _picture(out, done, "renders", f"compare/{photo.key}.png")
        found.append(
            PhotoResult(
                name=photo.name,
                key=photo.key,
                image=f"photos/{photo.image}" if photo.image else None,
                registered=verdict.registered if verdict else (False if photo.excluded else None),
                reason=verdict.reason if verdict else photo.excluded,
                observations=verdict.observations if verdict else 0,
                probability=verdict.probability if verdict else None,
                overlap=verdict.overlap if verdict else None,
                bare_sides=tuple(side for name, side in bare if name == photo.name),
                reprojection_px=verdict.reprojection_px if verdict else None,
                field_of_view_deg=angles.get(photo.name),
                depth_verified=depth.verified if depth else None,
                depth_completed=depth.completed if depth else None,
                depth_confidence=depth.confidence if depth else None,
                psnr_db=_psnr_db(out / comparison) if comparison else None,
                held_out=weights.get(photo.name, 1.0) == 0,
                render=_picture(out, done, "renders", f"input/{photo.key}.png"),
                comparison=comparison,
                depth_picture=_picture(out, done, "renders", f"depth/{photo.key}.png"),
                overlay=_picture(out, done, "layout", f"overlays/{photo.key}.jpg"),
            )
        )
    return tuple(found)


def _field_of_view_deg(camera: Camera) -> float:
    return math.degrees(2 * math.atan(max(camera.width / camera.fx, camera.height / camera.fy) / 2))


@dataclass(frozen=True)
class Comparison:
    """A picture of `renders/compare/`, taken apart."""

    photo: UInt8[np.ndarray, "H W 3"]
    render: UInt8[np.ndarray, "H W 3"]
    error: UInt8[np.ndarray, "H W"]
    """Mean of the channels' absolute errors; 255 for half of the full range or more."""
    counts: Bool[np.ndarray, "H W"]
    """False where the pixel was ignored."""


def read_comparison(path: Path) -> Comparison:
    with Image.open(path) as picture:
        photo, render, shown = np.split(np.asarray(picture.convert("RGB")), 3, axis=1)
    # Ignored pixels are drawn in an even grey, which is not what their error is.
    error = np.minimum(np.abs(photo.astype(np.float32) - render).mean(-1) * 2, 255)
    return Comparison(photo, render, shown[..., 0], np.abs(error - shown[..., 0]) < _IGNORED_STEP)


def _picture(out: Path, done: Mapping[str, StageResult], stage: str, name: str) -> str | None:
    return f"{stage}/{name}" if stage in done and (out / stage / name).is_file() else None


def _psnr_db(path: Path) -> float | None:
    """Of the render against its photo over the pixels that count, from 8-bit pictures."""
    comparison = read_comparison(path)
    if not comparison.counts.any():
        return None
    difference = (comparison.photo.astype(np.float32) - comparison.render)[comparison.counts]
    return round(10 * np.log10(255**2 / max(float((difference**2).mean()), 1e-3)), 2)
