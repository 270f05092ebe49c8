"""Takes the sharpest of evenly spaced frames out of a video, through OpenCV's own decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from fewview.recon.io.images import UnusableImage, sharpness, shrink_to

EXTENSIONS = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".3gp"})
CANDIDATES = 10
"""Frames compared for each one taken: enough to find one between two shakes of the hand."""


@dataclass(frozen=True)
class Frame:
    """One frame at working size, upright (the container's rotation is applied)."""

    index: int
    """Counted from 0 in decoding order."""
    time_s: float
    rgb: UInt8[np.ndarray, "h w 3"]
    width: int
    """Of the video, pixels."""
    height: int
    sharpness: float


def sharpest_frames(
    path: Path, count: int, long_side: int, step: Callable[[int, int], None] = lambda done, total: None
) -> list[Frame]:
    """Split a video into `count` equal parts and take the sharpest frame of each one's middle half, by time.

    Args:
        count: of frames; a video with fewer gives all it has.
        long_side: of the frames, pixels; sharpness is compared at this size.
        step: called with the frames decoded so far and their (estimated) number.

    Raises:
        UnusableImage: not a video, or no frame of it decodes.
    """
    capture = open_video(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    # Containers may announce no length, or a wrong one: then the first pass only counts for a second.
    frames, total = _scan(path, count, long_side, max(announced, 1), step)
    if total == 0:
        raise UnusableImage("no frame of it can be decoded")
    if abs(total - announced) * count * 2 > total:
        frames, total = _scan(path, count, long_side, total, step)
    return frames


def _scan(
    path: Path, count: int, long_side: int, length: int, step: Callable[[int, int], None]
) -> tuple[list[Frame], int]:
    """The sharpest frames of a video said to have `length` frames, and how many it really has."""
    capture = open_video(path)
    parts = _candidates(min(count, length), length)
    best: dict[int, Frame] = {}
    index = 0
    while capture.grab():
        frame = _frame(capture, index, long_side) if index in parts else None
        if frame is not None:
            chosen = best.setdefault(parts[index], frame)
            if frame.sharpness > chosen.sharpness:
                best[parts[index]] = frame
        index += 1
        step(index, max(index, length))
    capture.release()
    return [best[part] for part in sorted(best)], index


def _candidates(count: int, length: int) -> dict[int, int]:
    """Which frames are looked at, and for which part of the video.

    Only the middle half of each part counts: the sharpest of two neighbours could otherwise be adjacent.
    """
    parts: dict[int, int] = {}
    for part in range(count):
        first = math.floor((part + 0.25) * length / count)
        last = math.ceil((part + 0.75) * length / count) - 1
        for index in np.linspace(first, last, CANDIDATES).round():
            parts.setdefault(int(index), part)
    return parts


def _frame(capture: cv2.VideoCapture, index: int, long_side: int) -> Frame | None:
    time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    decoded, bgr = capture.retrieve()
    if not decoded:
        return None
    height, width = bgr.shape[:2]
    rgb = cv2.cvtColor(shrink_to(bgr, long_side), cv2.COLOR_BGR2RGB)
    return Frame(index, time_s, rgb, width, height, sharpness(rgb))


def open_video(path: Path) -> cv2.VideoCapture:
    """A video that can be decoded, upright.

    Raises:
        UnusableImage: it cannot.
    """
    # FFMPEG is part of OpenCV's wheels; other back ends depend on what the system has and ignore rotation. It takes
    # relative names with a colon for protocols.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UnusableImage("not a video that can be decoded")
    return capture
