"""What one camera recorded, as read from files: joints in the common order, sizes and rates where the files say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from fewview.calibration.inputs.skeletons import find_skeleton
from fewview.recon.errors import InputError

_ALWAYS_FITS, _SPARSEST = 100_000, 1000
"""So many places for people may be empty whatever the files hold, and so many for each person."""


@dataclass(frozen=True)
class Recording:
    """`fewview.calibration.observations.Detections` of which size and frame rate may be unknown yet."""

    camera: str
    """Empty where the file has no names."""
    xy: Float32[np.ndarray, "F P J 2"]
    confidence: Float32[np.ndarray, "F P J"]
    size: tuple[int, int] | None = None
    fps: float | None = None


def recording(
    camera: str,
    people: Float[np.ndarray, "F P K 3"],
    skeleton: str | None,
    where: str,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Recording:
    """A recording from (x, y, confidence) per joint of a detector's skeleton.

    A joint is absent where a value is not finite, the confidence is not positive, or x = y = 0, as detectors write it.
    Detectors count pixel centres from integers, so half a pixel is added. Confidences above 1 (RTMPose's) become 1.

    Raises:
        InputError: no known skeleton has that many joints.
    """
    found = find_skeleton(people, skeleton, where)
    values = found.to_common(people.astype(np.float32))
    xy, confidence = values[..., :2], values[..., 2]
    absent = ~np.isfinite(values).all(axis=-1) | ~(confidence > 0) | (xy == 0).all(axis=-1)
    return Recording(
        camera,
        np.where(absent[..., None], np.float32(np.nan), xy + np.float32(0.5)),
        np.where(absent, np.float32(0), np.minimum(confidence, np.float32(1))),
        size,
        fps,
    )


def stack_people(frames: dict[int, list[Any]], where: str) -> Float[np.ndarray, "F P K 3"]:
    """People per frame number as one array that starts at the first frame; absent people are zeros.

    Raises:
        InputError: nobody is in any frame, people differ in their number of joints, or frames are numbered so far
            apart that memory would hold little but gaps.
    """
    everyone = [person for people in frames.values() for person in people]
    if not everyone:
        raise InputError(f"No person is in any frame of {where}.", "Leave this camera out, or detect people again.")
    counts = sorted({len(person) for person in everyone})
    if len(counts) > 1:
        raise InputError(
            f"The people in {where} have {counts[0]} and {counts[-1]} joints.", "Write all frames by one detector."
        )
    first, last = min(frames), max(frames)
    slots = max(len(people) for people in frames.values())
    if (last - first + 1) * slots > max(_ALWAYS_FITS, _SPARSEST * len(everyone)):
        raise InputError(
            f"The frames of {where} are numbered {first} to {last}, but hold only {len(everyone)} people.",
            "Number frames in the order of the video, without gaps.",
        )
    out = np.zeros((last - first + 1, slots, counts[0], 3), np.float64)
    for number, people in frames.items():
        for slot, person in enumerate(people):
            out[number - first, slot] = person
    return out
