"""RTMPose through `rtmlib`, for several people, where the user has installed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fewview.calibration.detect.detector import Person, missing_library
from fewview.recon.progress import Progress

_MIN_SCORE = 0.3


class RtmDetector:
    """Body with feet: HALPE-26, all people in the frame."""

    skeleton = "HALPE_26"

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        keypoints, scores = self._model(np.ascontiguousarray(rgb[..., ::-1]))  # rtmlib takes OpenCV's BGR
        people = [np.concatenate([xy, s[:, None]], axis=1) for xy, s in zip(keypoints, scores, strict=True)]
        # Where it detects nobody, rtmlib poses the whole picture.
        return [person for person in people if person[:, 2].mean() >= _MIN_SCORE]


def load_rtmlib(progress: Progress) -> Callable[[], RtmDetector]:
    """Raises EnvironmentFault where rtmlib is not installed."""
    try:
        from rtmlib import BodyWithFeet
    except ImportError as error:
        raise missing_library(
            "rtmlib", "pip install rtmlib onnxruntime, or use --detector blazepose.", error
        ) from error
    progress.note("rtmlib fetches RTMPose and its person detector itself; their licence is Apache-2.0 (OpenMMLab).")
    model = BodyWithFeet(mode="balanced", to_openpose=False, backend="onnxruntime", device="cpu")
    return lambda: RtmDetector(model)
