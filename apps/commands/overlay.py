"""`fewview overlay`: a film of the skeletons that were found, over the videos of their rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fewview.apps.commands.export import check_run
from fewview.calibration.artifact import load_rig
from fewview.calibration.formats.motion import read_motion
from fewview.calibration.inputs.rig import find_cameras
from fewview.calibration.overlay import overlay_frames
from fewview.calibration.stage import STAGE as MOTION
from fewview.recon.dag.faults import writing
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.splatting.video import write_mp4

_FPS = 30
"""Faster motion is shown at a part of its frames."""


@dataclass(frozen=True)
class Arguments:
    """Film the skeletons that were found over the videos of all cameras: whether lines lie on bodies, anyone sees."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview calibrate` wrote."""
    videos: Path
    """The folder of the first take's videos."""
    to: Path
    """MP4 to write."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview overlay", args=list(argv))


def main(arguments: Arguments) -> int:
    check_run(arguments.out)
    folder = arguments.out / MOTION.name
    rig, views = load_rig(folder), read_cameras(folder).views
    motion = read_motion(folder / f"{rig.takes[0]}.npz")
    videos = {each.camera: each.video for each in find_cameras(arguments.videos) if each.video is not None}
    lacking = [view.name for view in views if view.name not in videos]
    if lacking:
        raise InputError(
            f"{arguments.videos} holds no video of {', '.join(lacking)}.", "Name the folder that was calibrated from."
        )
    step = max(1, round(motion.fps / _FPS))
    frames = overlay_frames(views, rig.offsets_s, motion, videos, step)
    with writing(arguments.to, "--to"):
        write_mp4(arguments.to, frames, max(1, round(motion.fps / step)))
    print(arguments.to)
    return 0
