"""Takes the sharpest of evenly spaced frames out of a video, through OpenCV's own decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from recon.io.images import UnreadableImage, sharpness, shrink_to

EXTENSIONS = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".3gp"})
CANDIDATES = 10
"""Frames compared in each part of the video: enough to find one between two shakes of the hand."""


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
    """Split a video into `count` equal parts and take the sharpest frame of each, by time.

    Args:
        count: of frames; a video with fewer gives all it has.
        long_side: of the frames, pixels; sharpness is compared at this size.
        step: called with the frames decoded so far and their (estimated) number.

    Raises:
        UnreadableImage: not a video, or no frame of it decodes.
    """
    capture = _open(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    # Containers may announce no length, or a wrong one. Then the true count of the first pass serves a second.
    frames, total = _scan(path, count, long_side, max(announced, 1), step)
    if total == 0:
        raise UnreadableImage("holds no frame that can be decoded")
    if abs(total - announced) * count * 2 > total:
        frames, total = _scan(path, count, long_side, total, step)
    return frames


def _scan(
    path: Path, count: int, long_side: int, length: int, step: Callable[[int, int], None]
) -> tuple[list[Frame], int]:
    """The sharpest frame of each part of a video said to have `length` frames, and how many it really has."""
    capture = _open(path)
    best: dict[int, Frame] = {}
    stride = max(1, length // (count * CANDIDATES))
    index = 0
    while capture.grab():
        part = min(index * count // length, count - 1)
        if index % stride == 0:
            frame = _frame(capture, index, long_side)
            if frame is not None and (part not in best or frame.sharpness > best[part].sharpness):
                best[part] = frame
        index += 1
        step(index, max(index, length))
    capture.release()
    return [best[part] for part in sorted(best)], index


def _frame(capture: cv2.VideoCapture, index: int, long_side: int) -> Frame | None:
    time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    decoded, bgr = capture.retrieve()
    if not decoded:
        return None
    height, width = bgr.shape[:2]
    rgb = cv2.cvtColor(shrink_to(bgr, long_side), cv2.COLOR_BGR2RGB)
    return Frame(index, time_s, rgb, width, height, sharpness(rgb))


def _open(path: Path) -> cv2.VideoCapture:
    # FFMPEG is part of OpenCV's wheels; other back ends depend on what the system has and ignore rotation.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UnreadableImage("is not a video that can be decoded")
    return capture
