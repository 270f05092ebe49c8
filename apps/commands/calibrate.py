"""`fewview calibrate`: cameras, time offsets and 3D motion from people seen by several cameras."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from fewview.apps.commands.report import reported
from fewview.apps.commands.run import conclude, judged
from fewview.apps.pipeline import PipelineConfig, rig_stages
from fewview.calibration.config import CalibrationConfig
from fewview.calibration.detect.detector import DetectorChoice
from fewview.calibration.keypoints import STAGE as KEYPOINTS
from fewview.calibration.keypoints import KeypointsConfig, SkeletonName
from fewview.calibration.stage import STAGE as MOTION
from fewview.calibration.stage import MotionConfig
from fewview.recon.dag import Manifest, run_stages
from fewview.recon.dag.live import Watch

if TYPE_CHECKING:
    RigStageName = str
else:
    RigStageName = Literal[KEYPOINTS.name, MOTION.name]


@dataclass(frozen=True)
class Arguments:
    """Calibrate several static cameras from the people they see: no board, no common clock.

    INPUT is a folder with, for each camera, a folder of OpenPose JSON, a COCO JSON, an npz or a video; or one npz.
    """

    input: Annotated[Path, tyro.conf.Positional]
    out: Path
    """Folder for the results; giving the same command again continues there."""
    height: float | None = None
    """Of the person seen most, in metres: it sets the scale."""
    known: Path | None = None
    """Cameras known in whole or in part: Calib.toml, anipose's or FreeMoCap's TOML, .qca.txt, intri.yml with
    extri.yml, cameras.json. They are kept as they are."""
    same_cameras: bool = False
    """The cameras are one model at one setting."""
    takes: tuple[Path, ...] = ()
    """Further recordings by the same cameras in the same places, like INPUT: they are calibrated together."""
    sizes: tuple[str, ...] = ()
    """Image size WIDTHxHEIGHT, one for all cameras or one each, where the files do not say it."""
    sizes_from: Path | None = None
    """A cameras.json of which names and image sizes are read, and nothing else."""
    fps: tuple[float, ...] = ()
    """Frames a second, one for all cameras or one each, where the files do not say them."""
    skeleton: SkeletonName | None = None
    """Order of the joints; by their number if not given."""
    detector: DetectorChoice = "auto"
    """For videos: BlazePose follows one person, MoveNet up to six; `auto` looks how many there are. rtmlib finds all,
    where it is installed."""
    offsets: tuple[str, ...] = ()
    """CAMERA=SECONDS, to be added to a camera's clock to get the common time; kept as they are."""
    sync: Literal["motion", "sound"] = "motion"
    """What synchronises the other cameras. Sound is good to a frame or two only."""
    seed: int = 0
    """Of the random sampling."""
    force: tuple[RigStageName, ...] = ()
    """Redo these stages."""
    dry_run: bool = False
    """Print what would run and what is cached; change nothing."""
    json: bool = False
    """Print the manifest as JSON on standard output (progress goes to standard error)."""
    strict: bool = False
    """End with exit code 1 where the verdict is not to rely on the result."""


RESULTS = {
    "cameras": f"{MOTION.name}/cameras.json",
    "Pose2Sim": f"{MOTION.name}/Calib.toml",
    "motion": f"{MOTION.name}/{MOTION.result}",
    "report": "report.html",
}


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview calibrate", args=list(argv))


def configuration(arguments: Arguments) -> PipelineConfig:
    """The stages' options that the arguments stand for."""
    keypoints = KeypointsConfig(
        sizes=arguments.sizes,
        sizes_from=arguments.sizes_from,
        fps=arguments.fps,
        skeleton=arguments.skeleton,
        detector=arguments.detector,
    )
    solve = CalibrationConfig(height_m=arguments.height, same_cameras=arguments.same_cameras, seed=arguments.seed)
    motion = MotionConfig(solve, arguments.known, arguments.offsets, arguments.sync)
    return replace(PipelineConfig(), keypoints=keypoints, motion=motion)


def calibrate(
    arguments: Arguments, console: Console, watch: Watch | None = None, words: Sequence[str] | None = None
) -> Manifest:
    """Calibrates as `arguments` ask; see `run_stages`.

    Args:
        words: the command line, for the manifest; that of this process unless given.
    """
    return run_stages(
        rig_stages(configuration(arguments), (arguments.input, *arguments.takes)),
        arguments.out,
        force=arguments.force,
        dry_run=arguments.dry_run,
        arguments=sys.argv[1:] if words is None else words,
        console=console,
        watch=watch,
        judge=judged,
    )


def main(arguments: Arguments) -> int:
    console = Console(stderr=True)
    with reported(arguments.out, console, arguments.dry_run):
        manifest = calibrate(arguments, console)
    if arguments.dry_run:
        return 0
    if arguments.json:
        print((arguments.out / "manifest.json").read_text(encoding="utf-8"), end="")
    for name, path in RESULTS.items():
        console.print(f"  {name:<8} {arguments.out / path}", soft_wrap=True)
    return conclude(manifest, console, arguments.strict)
