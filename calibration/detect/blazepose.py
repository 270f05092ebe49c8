"""BlazePose (Bazarevsky et al. 2020): a person detector, then 33 landmarks in a crop that follows the person.

Written from the paper and the model cards; weights are Google's (Apache-2.0), run by ai-edge-litert. Run it in a child
process: the runtime aborts on what it takes for a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from fewview.calibration.detect.crops import Region, cut, sigmoid
from fewview.calibration.detect.detector import Person, missing_library, weights_of
from fewview.recon.io.weights import fetch
from fewview.recon.progress import Progress

_DETECTOR_SIDE, _CROP_SIDE, _HEATMAP_SIDE = 224, 256, 64
_LANDMARKS = 33
_CENTRE, _REACH = 33, 34
"""Auxiliary landmarks: the middle of the hips, and a point at whose distance the circle around the person ends."""
_MIN_SCORE = 0.5
_MIN_OVERLAP = 0.3
_ENLARGE = 1.25
"""The crop is larger than the circle around the person by this factor."""
_KERNEL = 3
"""Half the width of the window in which a heat map refines a landmark."""


def region_around(centre: Float[np.ndarray, " 2"], reach: Float[np.ndarray, " 2"]) -> Region:
    """The crop for a person whose hips are at `centre`; `reach` lies above them on the circle around the body."""
    up = reach - centre
    return Region(centre, float(2 * _ENLARGE * np.hypot(*up)), float(np.arctan2(up[0], -up[1])))


def anchors() -> Float[np.ndarray, "2254 2"]:
    """Centres of the detector's anchors in [0, 1]: two a cell at stride 8 and 16, six at stride 32."""
    out = []
    for stride, count in ((8, 2), (16, 2), (32, 6)):
        side = _DETECTOR_SIDE // stride
        y, x = np.divmod(np.arange(side * side), side)
        out.append(np.repeat((np.stack([x, y], axis=1) + 0.5) / side, count, axis=0))
    return np.concatenate(out)


class BlazePose:
    """One person, followed from frame to frame."""

    skeleton = "BLAZEPOSE_33"

    def __init__(self, detector: Any, landmarks: Any) -> None:
        self._detector, self._landmarks = detector, landmarks
        self._anchors = anchors()
        self._region: Region | None = None

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        followed = self._region is not None
        person = self._find(rgb)
        if person is None and followed:  # lost: look again in the whole picture
            person = self._find(rgb)
        return [] if person is None else [person]

    def _find(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Person | None:
        region = self._region or self._detect(rgb)
        self._region = None
        if region is None or not region.side > 1:
            return None
        raw, score, _, heatmap, _ = self._run(self._landmarks, cut(rgb, region, _CROP_SIDE))
        if float(score.ravel()[0]) < _MIN_SCORE:
            return None
        points = raw.reshape(-1, 5).astype(np.float64)
        xy = _refined(points[:, :2], sigmoid(heatmap[0]))
        M = region.to_image(_CROP_SIDE)
        xy = xy @ M[:, :2].T + M[:, 2]
        self._region = region_around(xy[_CENTRE], xy[_REACH])
        confidence = sigmoid(points[:, 3]) * sigmoid(points[:, 4])
        return np.concatenate([xy - 0.5, confidence[:, None]], axis=1)[:_LANDMARKS]

    def _detect(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Region | None:
        """The person of the highest score in the whole picture."""
        height, width = rgb.shape[:2]
        whole = Region(np.array([width / 2, height / 2]), float(max(width, height)), 0.0)
        boxes, logits = self._run(self._detector, cut(rgb, whole, _DETECTOR_SIDE) * 2 - 1)
        scores = sigmoid(np.clip(logits[0, :, 0], -100, 100).astype(np.float64))
        if scores.max() < _MIN_SCORE:
            return None
        values = boxes[0].astype(np.float64).reshape(len(scores), -1, 2) / _DETECTOR_SIDE
        values[:, [0, 2, 3]] += self._anchors[:, None]  # centre, size, hips, reach, and two points not needed
        best = values[scores.argmax()]
        near = (scores >= _MIN_SCORE) & (_overlaps(values, best) > _MIN_OVERLAP)
        _, _, hips, reach = np.average(values[near, :4], axis=0, weights=scores[near])
        M = whole.to_image()
        return region_around(M[:, :2] @ hips + M[:, 2], M[:, :2] @ reach + M[:, 2])

    @staticmethod
    def _run(network: Any, image: Float[np.ndarray, "S S 3"]) -> list[np.ndarray]:
        network.set_tensor(network.get_input_details()[0]["index"], image[None].astype(np.float32))
        network.invoke()
        return [network.get_tensor(output["index"]) for output in network.get_output_details()]


def load_blazepose(progress: Progress) -> Callable[[], BlazePose]:
    """Fetch the weights; each call of the result makes a detector for one video.

    Raises:
        EnvironmentFault: ai-edge-litert is not installed, or the weights cannot be had.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise missing_library("ai-edge-litert", "pip install ai-edge-litert", error) from error
    paths = [fetch(name, progress) for name in weights_of("blazepose")]

    def network(path: Path) -> Any:
        made = Interpreter(str(path), num_threads=1)
        made.allocate_tensors()
        return made

    return lambda: BlazePose(*map(network, paths))


def _refined(xy: Float[np.ndarray, "K 2"], heat: Float[np.ndarray, "h w K"]) -> Float[np.ndarray, "K 2"]:
    """Landmarks in crop pixels, moved to the centre of mass of their heat map nearby where it is sure."""
    out = xy.copy()
    cell = _CROP_SIDE / _HEATMAP_SIDE
    for k, (x, y) in enumerate(xy / cell):
        column, row = int(x), int(y)
        if not (0 <= column < _HEATMAP_SIDE and 0 <= row < _HEATMAP_SIDE):
            continue
        rows = slice(max(0, row - _KERNEL), min(_HEATMAP_SIDE, row + _KERNEL + 1))
        columns = slice(max(0, column - _KERNEL), min(_HEATMAP_SIDE, column + _KERNEL + 1))
        weights = heat[rows, columns, k]
        if weights.max() < _MIN_SCORE:
            continue
        v, u = np.mgrid[rows, columns]
        total = weights.sum()
        out[k] = cell * np.array([(u * weights).sum() / total, (v * weights).sum() / total])
    return out


def _overlaps(values: Float[np.ndarray, "N K 2"], best: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, " N"]:
    """Intersection over union of the boxes (centre, size) with the best one."""
    low = np.maximum(values[:, 0] - values[:, 1] / 2, best[0] - best[1] / 2)
    high = np.minimum(values[:, 0] + values[:, 1] / 2, best[0] + best[1] / 2)
    shared = np.maximum(high - low, 0).prod(axis=1)
    return shared / np.maximum(values[:, 1].prod(axis=1) + best[1].prod() - shared, 1e-12)
