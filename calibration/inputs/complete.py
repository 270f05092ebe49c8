"""From recordings to detections: sizes and frame rates filled in, contradictions refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fewview.calibration.inputs.recording import Recording
from fewview.calibration.inputs.sizes import parse_size, read_sizes
from fewview.calibration.observations import Detections
from fewview.recon.errors import InputError
from fewview.recon.progress import Progress

USUAL_FPS = 30.0
_MARGIN = 0.1
"""Detectors extrapolate limbs beyond the border: keypoints further out than this share of the image count."""
_BEYOND = 0.02
"""So many of the keypoints may."""


def complete(
    recordings: Sequence[Recording],
    sizes: tuple[str, ...],
    sizes_from: Path | None,
    fps: tuple[float, ...],
    progress: Progress,
) -> list[Detections]:
    """Detections of every camera.

    Args:
        sizes: WIDTHxHEIGHT, one for all or one a camera; before what the files say.
        sizes_from: see `read_sizes`; also names cameras that have no names, in order.
        fps: one for all or one a camera; before what the files say.

    Raises:
        InputError: fewer than two cameras, a size that is not known or that the keypoints contradict, a camera
            without people, or two cameras with the same keypoints.
    """
    if len(recordings) < 2:
        raise InputError(
            f"There is only one camera{f', {recordings[0].camera}' if recordings[0].camera else ''}.",
            "Give two or more that see the same people; four or more work best.",
        )
    recordings = _named(recordings, sizes_from)
    found_sizes = _sizes(recordings, sizes, sizes_from)
    rates = _rates(recordings, fps, progress)
    detections = [
        Detections(each.camera, size, rate, each.xy, each.confidence)
        for each, size, rate in zip(recordings, found_sizes, rates, strict=True)
    ]
    for each in detections:
        _check(each)
    _refuse_copies(detections)
    return detections


def _named(recordings: Sequence[Recording], sizes_from: Path | None) -> list[Recording]:
    if all(each.camera for each in recordings):
        return list(recordings)
    if sizes_from is None:
        width = max(2, len(str(len(recordings))))
        return [replace(each, camera=f"cam{i + 1:0{width}d}") for i, each in enumerate(recordings)]
    names = list(read_sizes(sizes_from))
    if len(names) != len(recordings):
        raise InputError(
            f"{sizes_from} has {len(names)} cameras, but there are keypoints of {len(recordings)}.",
            "Name the file of this rig, or give --sizes.",
        )
    return [replace(each, camera=name) for each, name in zip(recordings, names, strict=True)]


def _sizes(recordings: list[Recording], sizes: tuple[str, ...], sizes_from: Path | None) -> list[tuple[int, int]]:
    if sizes:
        return [parse_size(text) for text in _each(sizes, len(recordings), "--sizes")]
    known = read_sizes(sizes_from) if sizes_from is not None else {}
    found = []
    for each in recordings:
        size = known.get(each.camera, each.size)
        if size is None:
            where = f" ({sizes_from} has {', '.join(known)})" if known else ""
            raise InputError(
                f"The image size of camera {each.camera} is not known{where}.",
                "Give --sizes WIDTHxHEIGHT, one for all or one a camera, or --sizes-from a cameras.json.",
            )
        found.append(size)
    return found


def _rates(recordings: list[Recording], fps: tuple[float, ...], progress: Progress) -> list[float]:
    if fps:
        if min(fps) <= 0:
            raise InputError(f"A frame rate of {min(fps):g} is not possible.", "Correct --fps.")
        return [float(rate) for rate in _each(fps, len(recordings), "--fps")]
    silent = [each.camera for each in recordings if each.fps is None]
    if silent:
        progress.fallback("frame rates", f"{USUAL_FPS:g} frames a second for {', '.join(silent)}", "no file says them")
    return [each.fps or USUAL_FPS for each in recordings]


def _each(values: tuple[Any, ...], count: int, option: str) -> tuple[Any, ...]:
    if len(values) not in (1, count):
        raise InputError(f"{option} has {len(values)} values for {count} cameras.", "Give one, or one a camera.")
    return values if len(values) == count else values * count


def _check(camera: Detections) -> None:
    seen = camera.confidence > 0
    if not seen.any():
        raise InputError(
            f"No person is seen by camera {camera.camera}: all its keypoints are absent, zero or not a number.",
            "Leave this camera out, or detect people again.",
        )
    xy, size = camera.xy[seen], np.array(camera.size)
    beyond = ((xy < -_MARGIN * size) | (xy > (1 + _MARGIN) * size)).any(axis=1)
    if beyond.mean() > _BEYOND:
        reach = np.nanpercentile(xy, 99, axis=0).round().astype(int)
        raise InputError(
            f"{beyond.mean():.0%} of the keypoints of camera {camera.camera} lie outside its images of "
            f"{size[0]}x{size[1]}: they reach x = {reach[0]}, y = {reach[1]}.",
            "Correct the size (are width and height swapped?), or the order of the cameras.",
        )


def _refuse_copies(detections: list[Detections]) -> None:
    first: dict[bytes, str] = {}
    for each in detections:
        content = each.xy.tobytes()
        if content in first:
            raise InputError(
                f"Cameras {first[content]} and {each.camera} hold the same keypoints.",
                "One folder was copied over the other: restore it.",
            )
        first[content] = each.camera
