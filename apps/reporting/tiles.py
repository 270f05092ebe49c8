"""The few figures at the head of the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewview.apps.reporting import formats
from fewview.apps.results import Results
from fewview.calibration.stage import STAGE as MOTION


@dataclass(frozen=True)
class Tile:
    what: str
    value: str
    note: str


def headline(results: Results) -> str:
    """The verdict in a few words."""
    if results.state not in ("complete", "failed"):
        return "Not finished"
    words = {
        "good": "It worked",
        "usable": "It worked, with warnings",
        "doubtful": "Do not rely on it",
        "failed": "It failed",
    }
    return words[results.verdict.level]


def tiles(results: Results) -> list[Tile]:
    """Those that there are figures for."""
    return [*_of_rig(results), *_of_photos(results), *_of_scale(results), _of_time(results)]


def _of_rig(results: Results) -> list[Tile]:
    motion = results.stage(MOTION.name)
    if results.rig is None or motion is None:
        return []
    cameras = results.rig.cameras
    return [
        Tile("Cameras calibrated", f"{sum(each.placed for each in cameras)} of {len(cameras)}", "from people"),
        Tile(
            "Joints lie off by", f"{formats.figure(motion.told(MOTION).reprojection_px)} px", "typical, in the videos"
        ),
    ]


def _of_photos(results: Results) -> list[Tile]:
    photos = results.photos
    placed = [photo for photo in photos if photo.registered]
    found = []
    if any(photo.registered is not None for photo in photos):
        found.append(Tile("Photos placed", f"{len(placed)} of {len(photos)}", ""))
    elif photos:
        found.append(Tile("Photos read", f"{len(photos)}", "not placed"))
    errors = [photo.reprojection_px for photo in placed if photo.reprojection_px is not None]
    if errors:
        found.append(Tile("Points lie off by", f"{np.mean(errors):.2f} px", "mean, in the original photos"))
    verified = [photo.depth_verified for photo in placed if photo.depth_verified is not None]
    if verified:
        found.append(Tile("Depth confirmed", formats.share(float(np.mean(verified))), "of pixels, by another photo"))
    for held_out, note in ((False, "of the photos it learned from"), (True, "of photos kept from it")):
        psnr = [photo.psnr_db for photo in placed if photo.psnr_db is not None and photo.held_out == held_out]
        if psnr:
            found.append(Tile("Renders", f"{np.mean(psnr):.1f} dB", note))
    return found


def _of_scale(results: Results) -> list[Tile]:
    scale = results.scale
    if scale is None:
        return []
    if scale.guess:
        return [Tile("Scale", "a guess", scale.spread)]
    if scale.units != "metre":
        return [Tile("Scale", "unknown", "lengths are not metres")]
    return [Tile("Scale", "metres", scale.spread)]


def _of_time(results: Results) -> Tile:
    peak = max((stage.peak_mib for stage in results.stages if stage.peak_mib is not None), default=None)
    note = "" if peak is None else f"at most {formats.size(peak * 2**20)} of memory"
    return Tile("Time", formats.seconds(results.seconds), note)
