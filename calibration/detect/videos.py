"""From the videos of a rig to the people in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from jaxtyping import UInt8

from fewview.calibration.detect.detector import Detector, Person
from fewview.calibration.inputs.recording import Recording, recording, stack_people
from fewview.calibration.keypoints import KeypointsFacts
from fewview.recon.errors import InputError
from fewview.recon.io.images import UnusableImage
from fewview.recon.io.video import open_video
from fewview.recon.progress import Progress

WORKERS = 2
"""Videos looked at side by side; each detector uses one thread."""


@dataclass(frozen=True)
class VideoFacts:
    """What the container says, upright."""

    width: int
    height: int
    fps: float
    frames: int
    """Announced; may be wrong."""


def video_facts(path: Path) -> VideoFacts:
    """Raises InputError where the file is no video, or says no frame rate."""
    capture = _open(path)
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180:
        # OpenCV turns the frames but not the announced size.
        decoded, frame = capture.read()
        height, width = frame.shape[:2] if decoded else (height, width)
    fps, frames = float(capture.get(cv2.CAP_PROP_FPS)), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    if not (0 < fps < 1e4 and width and height):
        raise InputError(f"{path} says no frame rate or size.", "Convert it with ffmpeg.")
    return VideoFacts(width, height, fps, max(frames, 0))


def frames_of(path: Path, fps: float) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
    """Upright RGB frames with the number that their time stamp gives at `fps`: dropped frames leave a gap.

    Raises:
        InputError: the file is no video.
    """
    capture = _open(path)
    first_ms, last = None, -1
    while True:
        decoded, bgr = capture.read()
        if not decoded:
            break
        now_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
        first_ms = now_ms if first_ms is None else first_ms
        number = max(round((now_ms - first_ms) / 1000 * fps), last + 1)
        last = number
        yield number, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    capture.release()


def detect_people(
    videos: Sequence[tuple[str, Path]], make: Callable[[], Detector], progress: Progress
) -> list[Recording]:
    """People in every video, camera by camera.

    Args:
        videos: camera and file.
        make: a new detector for each video.

    Raises:
        InputError: a file is no video, or shows nobody.
    """
    facts = [video_facts(path) for _, path in videos]
    total, done, lock = max(1, sum(each.frames for each in facts)), 0, Lock()
    started = time.process_time()

    def tell() -> None:
        nonlocal done
        with lock:
            done += 1
            if done % 10 == 0:
                progress.step(min(done, total), total, "video frame")

    def one(k: int) -> Recording:
        camera, path = videos[k]
        detector = make()
        frames: dict[int, list[Person]] = {}
        for number, rgb in frames_of(path, facts[k].fps):
            frames[number] = detector(rgb)
            tell()
        people = stack_people(frames, str(path))
        size = (facts[k].width, facts[k].height)
        return recording(camera, people, detector.skeleton, str(path), size, facts[k].fps)

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(one, range(len(videos))))
    progress.tell(KeypointsFacts(frames_detected=done))
    progress.note(f"People detected in {done} frames, {done / (time.process_time() - started):.1f} a second of CPU.")
    return found


def _open(path: Path) -> cv2.VideoCapture:
    try:
        return open_video(path)
    except UnusableImage as error:
        raise InputError(f"{path} is {error}.", "Convert it with ffmpeg, or leave it out.") from error
