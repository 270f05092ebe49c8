"""Which detector a rig's videos need: one for one person, or one for several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from fewview.calibration.detect.detector import DetectorName
from fewview.calibration.detect.videos import video_facts
from fewview.recon.errors import EnvironmentFault
from fewview.recon.io.video import open_video
from fewview.recon.progress import Progress

_LOOKS = 6
"""Frames of each video that are looked at."""


def choose_detector(videos: Sequence[tuple[str, Path]], progress: Progress) -> DetectorName:
    """MoveNet where two cameras mostly see more than one person each, else BlazePose: it knows feet.

    Whom one camera alone sees tells nothing of where cameras are.

    Args:
        videos: camera and file.

    Raises:
        InputError: a file is no video.
    """
    from fewview.calibration.detect.movenet import load_movenet

    try:
        search = load_movenet(progress)().search
    except EnvironmentFault as error:
        progress.fallback("several people by MoveNet", "one person by BlazePose", str(error))
        return "blazepose"
    several = [camera for camera, path in videos if np.median([len(search(rgb)) for rgb in _looks(path)]) > 1]
    if len(several) > 1:
        progress.note(f"MoveNet follows all people: {', '.join(several)} see several.")
        return "movenet"
    progress.note("BlazePose follows one person: fewer than two cameras see more.")
    return "blazepose"


def _looks(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames from all over a video, which may hold fewer than it announces."""
    facts, capture = video_facts(path), open_video(path)
    for number in np.linspace(0, max(facts.frames - 1, 0), _LOOKS).astype(int).tolist():
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        decoded, bgr = capture.read()
        if decoded:
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    capture.release()
