"""Stage `motion`: calibrates the rig and writes cameras and motion in the formats other tools read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, cast

import numpy as np
import tyro

from fewview.calibration.artifact import RigRecord, Take, load_takes, save_rig
from fewview.calibration.config import CalibrationConfig
from fewview.calibration.observations import Motion, Rig
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera, View
from fewview.recon.stage import StageSpec

_AGREEING = 0.75
"""Share of the cameras that agree on a joint, below which swapped cameras are looked for."""


@dataclass(frozen=True)
class MotionConfig:
    """How the rig is calibrated."""

    calibration: Annotated[CalibrationConfig, tyro.conf.arg(name="")] = field(default_factory=CalibrationConfig)
    known: Path | None = field(default=None, metadata={"key": False})
    """Cameras that are known, whole or in part: Calib.toml, anipose's or FreeMoCap's TOML, .qca.txt, intri.yml with
    extri.yml, cameras.json. They are kept as they are."""
    offsets: tuple[str, ...] = ()
    """CAMERA=SECONDS, to be added to a camera's clock to get the common time (first take); kept as they are."""
    sync: Literal["motion", "sound"] = "motion"
    """What synchronises the other cameras. Sound is good to a frame or two only."""

    def sources(self) -> tuple[Path, ...]:
        """Raises InputError where `known` is missing."""
        from fewview.calibration.formats.known import known_files

        return known_files(self.known) if self.known else ()


@dataclass(frozen=True)
class MotionFacts:
    """What the stage tells."""

    calibrated: str | None = None
    """Cameras, of how many."""
    reprojection_px: float | None = None
    """Typical, in pixels of the videos."""
    scale: str | None = None
    """Its source and uncertainty, in words."""


def run(inputs: Mapping[str, Path], config: MotionConfig, out: Path, progress: Progress) -> None:
    """Fill `out` (docs/artifacts.md).

    Args:
        inputs: `keypoints`.

    Raises:
        InputError: a known camera or an offset names no camera, cameras were swapped, or there is no common time.
        ReconstructionError: no two cameras can be tied together, or they agree on nobody.
    """
    from fewview.calibration.calibrate import calibrate_takes
    from fewview.calibration.formats.known import match_names, read_cameras_file
    from fewview.calibration.formats.plain import without_nan
    from fewview.calibration.report import write_report

    takes = load_takes(inputs["keypoints"])
    cameras = [each.camera for each in takes[0].detections]
    known = match_names(read_cameras_file(config.known), cameras, config.known) if config.known else None
    settings = replace(config.calibration, offsets_s=given_offsets(takes, config))
    rig, motions = calibrate_takes([take.detections for take in takes], settings, progress, known)
    rig = replace(rig, facts=without_nan(rig.facts))
    _check_agreement(takes, rig, motions, known or {}, settings, progress)
    write_rig(out, rig, cameras, progress)
    for take, motion in zip(takes, motions, strict=True):
        write_take(out, take.name, motion, rig.units)
    write_report(out / "report.html", rig, motions[0])
    record = RigRecord(
        offsets_s=rig.offsets_s,
        unplaced=rig.unplaced,
        units=rig.units,
        scale_source=rig.scale_source,
        scale_uncertainty=rig.scale_uncertainty,
        takes=[take.name for take in takes],
        facts=rig.facts,
    )
    save_rig(out, record)
    progress.tell(
        MotionFacts(
            calibrated=f"{len(rig.views)} of {len(cameras)}",
            reprojection_px=cast(float | None, rig.facts["reprojection_px"]),
            scale=f"{rig.scale_source}, to {rig.scale_uncertainty:.1%}",
        )
    )
    for camera, reason in rig.unplaced.items():
        progress.note(f"Camera {camera} is not placed: {reason}")
    _compare_with_sound(takes[0], rig, progress)


STAGE = StageSpec(
    name="motion",
    title="Cameras and motion of the rig",
    run=run,
    Config=MotionConfig,
    Facts=MotionFacts,
    needs=("keypoints",),
    sources=MotionConfig.sources,
    result="rig.json",
    typical_s=4.0,
)


def given_offsets(takes: list[Take], config: MotionConfig) -> tuple[dict[str, float], ...]:
    """Per take the offsets to keep: those given (for the first), and by sound where that is asked for.

    Raises:
        InputError: not of the form CAMERA=SECONDS, no such camera, or no sound to synchronise by.
    """
    out: list[dict[str, float]] = []
    for take in takes:
        if config.sync == "sound" and not take.sound_offsets_s:
            raise InputError(
                f"The videos of take {take.name} cannot be synchronised by sound: "
                "they have none, or not of the same event.",
                "Use --sync motion.",
            )
        out.append(dict(take.sound_offsets_s) if config.sync == "sound" else {})
    cameras = {each.camera for each in takes[0].detections}
    for text in config.offsets:
        camera, _, seconds = text.rpartition("=")
        try:
            offset = float(seconds)
        except ValueError:
            offset = np.nan
        if camera not in cameras or not np.isfinite(offset):
            raise InputError(f"--offsets {text} is not CAMERA=SECONDS.", f"Cameras are {', '.join(sorted(cameras))}.")
        out[0][camera] = offset
    return tuple(out)


def write_rig(out: Path, rig: Rig, cameras: list[str], progress: Progress) -> None:
    """The cameras in every format."""
    from fewview.calibration.formats.calibration_toml import write_anipose, write_pose2sim
    from fewview.calibration.formats.opencv_yaml import write_opencv_yaml
    from fewview.calibration.formats.refit import without_k3
    from fewview.recon.io.cameras import CameraSet, Verdict
    from fewview.recon.io.colmap import SparsePoints, write_camera_exports
    from fewview.recon.scale import normal

    placed = {view.name for view in rig.views}
    verdicts = [Verdict(name, name in placed, rig.unplaced.get(name)) for name in cameras]
    nothing = SparsePoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), [])
    interval = normal(rig.scale_uncertainty) if np.isfinite(rig.scale_uncertainty) else None
    found = CameraSet(rig.views, rig.units, rig.scale_source, "keypoints", verdicts, scale_interval=interval)
    write_camera_exports(out, found, nothing)
    write_anipose(out / "calibration.toml", rig.views)
    write_opencv_yaml(out, rig.views)
    refitted = [without_k3(view.camera) for view in rig.views]
    write_pose2sim(
        out / "Calib.toml", [replace(v, camera=camera) for v, (camera, _) in zip(rig.views, refitted, strict=True)]
    )
    moved = max((px for _, px in refitted), default=0.0)
    if moved > 0:
        progress.note(f"Calib.toml cannot hold k3: its lenses were refitted and move pixels by {moved:.2f} px at most.")


def write_take(out: Path, name: str, motion: Motion, units: str) -> None:
    """`<name>.npz`, `<name>.c3d`, and `<name>_P1.trc` and so on, one a person."""
    from fewview.calibration.formats.c3d import write_c3d
    from fewview.calibration.formats.motion import write_motion
    from fewview.calibration.formats.trc import write_trc

    write_motion(out / f"{name}.npz", motion)
    write_c3d(out / f"{name}.c3d", motion.xyz, motion.fps, units)
    for person in range(motion.xyz.shape[1]):
        path = out / f"{name}_P{person + 1}.trc"
        write_trc(path, motion.xyz[:, person], motion.fps, motion.start_s, "m" if units == "metre" else units)


def _check_agreement(
    takes: list[Take],
    rig: Rig,
    motions: list[Motion],
    known: Mapping[str, Camera | View],
    settings: CalibrationConfig,
    progress: Progress,
) -> None:
    """Where few cameras agree on the people of a take, it is calibrated alone: that shows whether two were swapped.

    Raises:
        InputError: they were.
        ReconstructionError: no two cameras agree on anybody.
    """
    from fewview.calibration.calibrate import calibrate
    from fewview.calibration.world.misnamed import swapped_cameras

    def alone(take: Take) -> dict[str, View]:
        found, _ = calibrate(take.detections, replace(settings, offsets_s=()), progress)
        return {view.name: view for view in found.views}

    seen = [motion.score > 0 for motion in motions]
    doubtful = [
        take
        for take, motion, some in zip(takes, motions, seen, strict=True)
        if not some.any() or motion.support[some].mean() < _AGREEING * len(rig.views)
    ]
    reference = {name: entry for name, entry in known.items() if isinstance(entry, View)}
    if doubtful and len(takes) > 1 and not reference:
        reference = alone(takes[0])
        doubtful = [take for take in doubtful if take is not takes[0]]
    for take in doubtful if reference else []:
        pair = swapped_cameras(reference, alone(take))
        if pair is not None:
            raise InputError(
                f"In take {take.name}, cameras {pair[0]} and {pair[1]} saw what the other should have seen.",
                "Their folders were swapped: name each camera as where it is known or as in the other takes.",
            )
    for take, some in zip(takes, seen, strict=True):
        if not some.any():
            raise ReconstructionError(
                f"No person in take {take.name} is where two cameras agree.",
                "Check that the cameras did not move, and that --known and --offsets are of this rig.",
            )


def _compare_with_sound(take: Take, rig: Rig, progress: Progress) -> None:
    """Says where the sound, which was not used, contradicts the motion."""
    both = [camera for camera in take.sound_offsets_s if camera in rig.offsets_s]
    if len(both) < 2:
        return
    apart = {c: rig.offsets_s[c] - take.sound_offsets_s[c] for c in both}
    middle = float(np.median(list(apart.values())))
    for camera, difference in apart.items():
        if abs(difference - middle) > 0.1:
            progress.note(f"Sound puts camera {camera} {difference - middle:+.2f} s from where its motion does.")
