"""The one interface of people detectors, and where they are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from fewview.recon.errors import EnvironmentFault
from fewview.recon.progress import Progress

DetectorName = Literal["blazepose", "movenet", "rtmlib"]
DetectorChoice = Literal["auto", DetectorName]
"""`auto`: by how many people the videos show."""

Person = Float[np.ndarray, "K 3"]
"""x, y in pixels with centres at integers, and confidence, per joint of the detector's skeleton."""


_WEIGHTS: dict[DetectorChoice, tuple[str, ...]] = {
    "blazepose": ("blazepose-detector", "blazepose-landmarks"),
    "movenet": ("movenet-multipose-graph", "movenet-multipose", "movenet-thunder-graph", "movenet-thunder"),
    "rtmlib": (),
}
_WEIGHTS["auto"] = _WEIGHTS["blazepose"] + _WEIGHTS["movenet"]


class Detector(Protocol):
    """Finds people in the frames of one video, one after the other: it may track."""

    skeleton: str
    """Its name in `fewview.calibration.inputs.skeletons.SKELETONS`."""

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        """The people of the next frame."""


def weights_of(name: DetectorChoice) -> tuple[str, ...]:
    """Names of the weights in `fewview.recon.io.weights` that it runs; rtmlib has its own."""
    return _WEIGHTS[name]


def make_detectors(name: DetectorName, progress: Progress) -> Callable[[], Detector]:
    """What makes a new detector for each video; weights are loaded here, once.

    Raises:
        EnvironmentFault: the detector's library is not installed, or its weights cannot be had.
    """
    if name == "blazepose":
        from fewview.calibration.detect.blazepose import load_blazepose

        return load_blazepose(progress)
    if name == "movenet":
        from fewview.calibration.detect.movenet import load_movenet

        return load_movenet(progress)
    from fewview.calibration.detect.rtm import load_rtmlib

    return load_rtmlib(progress)


def missing_library(library: str, install: str, error: ImportError) -> EnvironmentFault:
    """What to say where a detector's library cannot be imported."""
    return EnvironmentFault(f"Detecting people needs {library}, which cannot be imported ({error}).", install)
