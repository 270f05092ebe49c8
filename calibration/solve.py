"""From keypoints of several cameras to the cameras, their clocks and the people's motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibration.observations import Detections, Motion, Rig
from recon.progress import Progress
from recon.scene import Camera, View


@dataclass(frozen=True)
class CalibrationConfig:
    """What is known beforehand, and the budgets that keep the cost flat in the length of the videos."""

    height_m: float | None = None
    """Height of the first person (the one seen most); sets the scale. None: an adult of 1.70 m is assumed."""
    same_cameras: bool = False
    """All cameras are one model at one setting: their focal lengths are nearly equal."""
    offsets_s: tuple[Mapping[str, float], ...] = ()
    """One mapping per take: offsets to keep as they are (see `Rig.offsets_s`). Cameras it does not name, and all where
    it is empty, are synchronised by their motion."""
    max_offset_s: float = 60.0
    """Cameras started within this time of each other."""
    max_people: int = 6
    """People to follow; those seen least are ignored."""
    seed: int = 0


def calibrate(
    detections: Sequence[Detections],
    config: CalibrationConfig,
    progress: Progress,
    known: Mapping[str, Camera | View] | None = None,
) -> tuple[Rig, Motion]:
    """Cameras, time offsets and motion of one take.

    Args:
        known: per camera its lens (`Camera`), or lens and pose (`View`); they are kept as they are. With two or more
            known poses the world is theirs.

    Raises:
        InputError: fewer than two cameras, names that are not unique, no detections, or no common time.
        ReconstructionError: no two cameras can be tied together by what they saw, with the reason per pair.
    """
    rig, motions = calibrate_takes([detections], config, progress, known)
    return rig, motions[0]


def calibrate_takes(
    takes: Sequence[Sequence[Detections]],
    config: CalibrationConfig,
    progress: Progress,
    known: Mapping[str, Camera | View] | None = None,
) -> tuple[Rig, list[Motion]]:
    """Several takes by one rig that did not move; each take has its own clocks. See `calibrate`.

    `Rig.offsets_s` is of the first take; `Rig.facts["offsets_s"]` lists those of every take.
    """
    raise NotImplementedError
