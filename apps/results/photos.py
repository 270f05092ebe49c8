"""What became of each photo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from apps.results.model import PhotoResult, StageResult
from recon.io.cameras import CameraSet
from recon.photos import load_photos

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
    depths = {view["name"]: view for view in done["depth"].facts["views"]} if "depth" in done else {}
    bare = done["cameras"].facts.get("bare_sides", []) if "cameras" in done else []
    weights = done["splat"].config["view_weights"] if "splat" in done else {}
    found = []
    for photo in load_photos(out / "photos", excluded=True):
        verdict, depth = verdicts.get(photo.name), depths.get(photo.name, {})
        comparison = _picture(out, done, "renders", f"compare/{photo.key}.png")
        found.append(
            PhotoResult(
                name=photo.name,
                key=photo.key,
                image=f"photos/{photo.image}" if photo.image else None,
                registered=verdict.registered if verdict else (False if photo.excluded else None),
                reason=verdict.reason if verdict else photo.excluded,
                observations=verdict.observations if verdict else 0,
                overlap=verdict.overlap if verdict else None,
                bare_sides=tuple(side for name, side in bare if name == photo.name),
                reprojection_px=verdict.reprojection_px if verdict else None,
                depth_verified=depth.get("verified"),
                depth_completed=depth.get("completed"),
                depth_confidence=depth.get("confidence"),
                psnr_db=_psnr_db(out / comparison) if comparison else None,
                held_out=weights.get(photo.name, 1.0) == 0,
                render=_picture(out, done, "renders", f"input/{photo.key}.png"),
                comparison=comparison,
                depth_picture=_picture(out, done, "renders", f"depth/{photo.key}.png"),
                overlay=_picture(out, done, "layout", f"overlays/{photo.key}.jpg"),
            )
        )
    return tuple(found)


def split_comparison(picture: UInt8[np.ndarray, "H 3W 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo, render and error, each (H, W, 3)."""
    photo, render, error = np.split(picture, 3, axis=1)
    return photo, render, error


def _picture(out: Path, done: Mapping[str, StageResult], stage: str, name: str) -> str | None:
    return f"{stage}/{name}" if stage in done and (out / stage / name).is_file() else None


def _psnr_db(comparison: Path) -> float | None:
    """Of the render against its photo over the pixels that count, from 8-bit pictures."""
    photo, render, shown = (
        part.astype(np.float64) for part in split_comparison(np.asarray(Image.open(comparison).convert("RGB")))
    )
    error = np.minimum(np.abs(photo - render).mean(-1) * 2, 255)
    counts = np.abs(error - shown[..., 0]) < _IGNORED_STEP
    if not counts.any():
        return None
    squared = float(((photo - render)[counts] ** 2).mean())
    return round(10 * np.log10(255**2 / max(squared, 1e-3)), 2)
