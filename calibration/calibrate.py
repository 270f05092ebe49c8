"""From keypoints of several cameras to the cameras, their clocks and the people's motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from fewview.calibration.config import CalibrationConfig
from fewview.calibration.observations import Detections, Motion, Rig
from fewview.calibration.skeleton import JOINTS
from fewview.calibration.solve.rig import Solution, solve
from fewview.calibration.world.motion import reconstruct
from fewview.calibration.world.placing import place
from fewview.recon.errors import InputError
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera, View

_PROBES = 2000
"""Frames of a video that are checked."""
_MARGIN = 0.02
_OUTSIDE = 0.2
"""Detectors place a few joints beyond the image, by little."""


# The systems are small and many: BLAS's threads would spin longer than they compute.
@threadpool_limits.wrap(limits=1, user_api="blas")
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


@threadpool_limits.wrap(limits=1, user_api="blas")
def calibrate_takes(
    takes: Sequence[Sequence[Detections]],
    config: CalibrationConfig,
    progress: Progress,
    known: Mapping[str, Camera | View] | None = None,
) -> tuple[Rig, list[Motion]]:
    """Several takes by one rig that did not move; each take has its own clocks. See `calibrate`.

    `Rig.offsets_s` is of the first take; `Rig.facts["offsets_s"]` lists those of every take.
    """
    rig, solution = calibrate_rig(takes, config, progress, known)
    placed = [[take[c] for c in solution.cameras] for take in takes]
    motions = []
    for number, take in enumerate(placed):
        progress.step(number, len(takes), "take")
        motions.append(reconstruct(take, solution.state, number, solution.joints, config.max_people))
    return rig, motions


@threadpool_limits.wrap(limits=1, user_api="blas")
def calibrate_rig(
    takes: Sequence[Sequence[Detections]],
    config: CalibrationConfig,
    progress: Progress,
    known: Mapping[str, Camera | View] | None = None,
) -> tuple[Rig, Solution]:
    """The cameras alone, at a cost that does not grow with the length of the videos (`calibrate` goes on to
    reconstruct the motion of every frame, which does). Arguments and errors as `calibrate_takes`."""
    known = dict(known or {})
    names = _check(takes, config, known)
    solution = solve(takes, config, progress, known)
    return place(solution, names, config.height_m, known)


def _check(
    takes: Sequence[Sequence[Detections]], config: CalibrationConfig, known: Mapping[str, Camera | View]
) -> list[str]:
    if not takes:
        raise InputError("There is no take to calibrate from.", "Give one list of detections per take.")
    names = [d.camera for d in takes[0]]
    if len(names) < 2:
        raise InputError(
            f"Calibration needs at least two cameras; there {'is' if names else 'are'} {len(names)}.",
            "Give the detections of every camera of the rig.",
        )
    if len(set(names)) < len(names):
        raise InputError(f"Camera names repeat: {', '.join(names)}.", "Name every camera differently.")
    if config.offsets_s and len(config.offsets_s) != len(takes):
        raise InputError(
            f"There are {len(takes)} takes and offsets for {len(config.offsets_s)}.",
            "Give one set of offsets per take.",
        )
    for what, given in (("known cameras", known), *(("offsets", o) for o in config.offsets_s)):
        unheard = sorted(set(given) - set(names))
        if unheard:
            raise InputError(
                f"The {what} name {', '.join(unheard)}, which the input lacks.",
                f"The cameras are {', '.join(names)}.",
            )
    for take in takes:
        if [d.camera for d in take] != names:
            raise InputError(
                "The takes are of different cameras.", f"Every take needs {', '.join(names)}, in this order."
            )
        for d in take:
            _check_camera(d, takes[0][names.index(d.camera)], known.get(d.camera))
    return names


def _check_camera(d: Detections, first: Detections, known: Camera | View | None) -> None:
    if d.xy.ndim != 4 or d.xy.shape[2:] != (len(JOINTS), 2) or d.confidence.shape != d.xy.shape[:3]:
        raise ValueError(f"detections of {d.camera} have shapes {d.xy.shape} and {d.confidence.shape}")
    if not (d.fps > 0 and np.isfinite(d.fps)):
        raise InputError(f"Camera {d.camera} has {d.fps} frames a second.", "Give its frame rate.")
    probe = np.linspace(0, len(d.xy) - 1, min(len(d.xy), _PROBES)).astype(int)
    xy, confidence = d.xy[probe], d.confidence[probe]
    if not (confidence > 0).any() and not (d.confidence > 0).any():
        raise InputError(f"Camera {d.camera} sees nobody in any frame.", "Leave it out, or check its detections.")
    if d.size != first.size:
        raise InputError(f"Camera {d.camera} has different image sizes in two takes.", "Take them with one setting.")
    xy = xy[(confidence > 0) & np.isfinite(xy).all(axis=-1)]
    margin = _MARGIN * np.array(d.size)
    outside = ((xy < -margin) | (xy > d.size + margin)).any(axis=1)
    if len(xy) and outside.mean() > _OUTSIDE:
        share, (width, height) = 100 * outside.mean(), d.size
        raise InputError(
            f"{share:.0f} % of the joints of camera {d.camera} lie outside its image of {width}x{height}.",
            "Give the size of the video that the keypoints were detected in.",
        )
    camera = known.camera if isinstance(known, View) else known
    if camera is not None and (camera.width, camera.height) != d.size:
        raise InputError(
            f"The known camera {d.camera} is {camera.width}x{camera.height}, its video {d.size[0]}x{d.size[1]}.",
            "Scale the known camera to the video.",
        )
