"""MoveNet for several people: MultiPose finds them in the picture, Thunder follows each in a crop.

Written from the model cards, Google's account of it (Votel and Li 2021, "Next-Generation Pose Detection with MoveNet
and TensorFlow.js") and the graphs, whose last part is here in NumPy: CenterNet (Zhou et al. 2019, "Objects as Points").
Weights are Google's (Apache-2.0), run by ai-edge-litert. Run it in a child process: the runtime aborts on what it takes
for a bug.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from fewview.calibration.detect.crops import Region, cut, sigmoid
from fewview.calibration.detect.detector import Person, missing_library, weights_of
from fewview.recon.io.weights import fetch
from fewview.recon.progress import Progress

Network = Callable[[Float[np.ndarray, "H W 3"]], list[Float[np.ndarray, "h w C"]]]
"""From a picture of RGB in [0, 255] to maps of middles of people, of the way from there to each joint (y, x), of
joints, and of the way from a cell to the joint in it (y, x), all in cells."""

_CELL = 4
"""Pixels of a network's picture to a cell of its maps."""
_WHOLE_SIDE, _CROP_SIDE = 384, 256
_MULTIPLE = 32
"""Of it are the sides of MultiPose's picture."""
_MULTIPOSE, _THUNDER = (4, 8, 7, 9), (4, 6, 5, 7)
"""Numbers of the heads' last convolutions."""
_MOST = 6
_MIN_SCORE = 0.3
"""Of a person: the middle's in MultiPose's map, the mean of the joints' in Thunder's (as in Google's examples)."""
_MIN_JOINT = 0.2
"""A joint that is less sure does not say where the person is (as in Google's examples)."""
_FEWEST = 3
_SHOULDERS, _HIPS = [5, 6], [11, 12]
_ENLARGE = 1.3
"""The crop is larger than the joints' extent by this factor."""
_PEAK = 5
"""Cells, within which there is one person's middle."""
_SPREAD = 0.3
"""Of a joint about its expected place: twice the variance in cells, as a share of the map's shorter side."""
_NEAR = 1.8
"""Cells: Thunder weighs by one over the distance and this."""
_AGAIN = 10
"""Frames after which the picture is searched for more people."""
_SAME = 0.1
"""Two finds are one person where their joints are this near on average, in its extent."""


class MoveNet:
    """All people in the frames of one video, six at most."""

    skeleton = "COCO_17"

    def __init__(self, whole: Callable[[tuple[int, int]], Network], crop: Network) -> None:
        """
        Args:
            whole: MultiPose for pictures of some height and width.
        """
        self._make_whole, self._crop = whole, crop
        self._wholes: dict[tuple[int, int], Network] = {}
        self._people: list[Person] = []
        self._since = _AGAIN

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        found: list[Person] = []
        for before in self._people:
            self._take(rgb, before, found)
        self._since += 1
        if len(found) < len(self._people) or self._since >= _AGAIN:
            for person in self.search(rgb):
                if not any(_apart(person, other) < _SAME for other in found) and len(found) < _MOST:
                    self._take(rgb, person, found)
            self._since = 0
        self._people = found
        return [_inside(person, rgb.shape) for person in found]

    def search(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        """People in the whole picture, the surest first; where there are none, in its quarters: they may be far."""
        height, width = rgb.shape[:2]
        people = self._whole(rgb)
        if people:
            return people
        y, x = height // 3, width // 3
        for top, left in ((0, 0), (0, x), (y, 0), (y, x)):
            for person in self._whole(np.ascontiguousarray(rgb[top : top + 2 * y, left : left + 2 * x])):
                person[:, :2] += left, top
                if not any(_apart(person, other) < _SAME for other in people):
                    people.append(person)
        return people[:_MOST]

    def _take(self, rgb: UInt8[np.ndarray, "H W 3"], where: Person, found: list[Person]) -> None:
        """Look at a person closely; keep it where it is one, and not one that was found already."""
        region = _region(where)
        middles, ways, heat, offsets = self._crop(255 * cut(rgb, region, _CROP_SIDE))
        y, x = np.mgrid[: middles.shape[0], : middles.shape[1]] - np.array(middles.shape[:2])[:, None, None] // 2
        central = sigmoid(middles[..., 0]) / (np.hypot(y, x) + _NEAR)
        person = _joints(int(central.argmax()), ways, heat, offsets, lambda squared: 1 / (np.sqrt(squared) + _NEAR))
        M = region.to_image(_CROP_SIDE / _CELL)
        person[:, :2] = person[:, :2] @ M[:, :2].T + M[:, 2] - 0.5
        if person[:, 2].mean() >= _MIN_SCORE and not any(_apart(person, other) < _SAME for other in found):
            found.append(person)

    def _whole(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Person]:
        """What MultiPose finds in a picture, which it sees small, in the upper left corner of its own."""
        scale = _WHOLE_SIDE / max(rgb.shape[:2])
        height, width = (max(1, round(scale * n)) for n in rgb.shape[:2])
        size = (-(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE)
        if size not in self._wholes:
            self._wholes[size] = self._make_whole(size)
        picture = np.zeros((*size, 3), np.float32)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture[:height, :width] = cv2.resize(rgb, (width, height), interpolation=way)
        middles, ways, heat, offsets = self._wholes[size](picture)
        middle = sigmoid(middles[..., 0])
        peaks = np.where(middle >= cv2.dilate(middle, np.ones((_PEAK, _PEAK))), middle, 0).ravel()
        spread = _SPREAD * min(middle.shape)
        people = []
        for cell in np.argsort(-peaks)[:_MOST]:
            if peaks[cell] >= _MIN_SCORE:
                person = _joints(int(cell), ways, heat, offsets, lambda squared: np.exp(-squared / spread))
                person[:, :2] = person[:, :2] * _CELL / scale - 0.5
                people.append(person)
        return people


def _region(person: Person) -> Region:
    """The crop for a person, in which its trunk is upright: Thunder has seen few people who lie across the picture."""
    sure = person[:, 2] >= _MIN_JOINT
    shoulders, hips = person[_SHOULDERS], person[_HIPS]
    up = (shoulders - hips)[:, :2].mean(axis=0) if sure[[*_SHOULDERS, *_HIPS]].all() else np.array([0.0, -1.0])
    angle = float(np.arctan2(up[0], -up[1]))
    c, s = np.cos(angle), np.sin(angle)
    upright = np.array([[c, s], [-s, c]])
    xy = person[sure if sure.sum() >= _FEWEST else slice(None), :2] @ upright.T
    low, high = xy.min(axis=0), xy.max(axis=0)
    return Region((low + high) / 2 @ upright + 0.5, float(max(_ENLARGE * (high - low).max(), 1)), angle)


def _joints(
    middle: int,
    ways: Float[np.ndarray, "h w D"],
    heat: Float[np.ndarray, "h w K"],
    offsets: Float[np.ndarray, "h w D"],
    weight: Callable[[Float[np.ndarray, "h w K"]], Float[np.ndarray, "h w K"]],
) -> Person:
    """The joints of the person whose middle is in a cell, in cells: each where its map is hottest, near its expected
    place.

    Args:
        middle: the cell, counted row by row.
        weight: of squared distances from the expected places.
    """
    rows, columns = heat.shape[:2]
    start = np.array(np.divmod(middle, columns)) + ways.reshape(rows * columns, -1, 2)[middle]
    y, x = np.mgrid[:rows, :columns][..., None]
    squared = (y - start[:, 0]) ** 2 + (x - start[:, 1]) ** 2
    heat = sigmoid(heat)
    best = (heat * weight(squared)).reshape(rows * columns, -1).argmax(axis=0)
    joints = np.arange(len(best))
    place = np.stack(np.divmod(best, columns), axis=1) + offsets.reshape(rows * columns, -1, 2)[best, joints]
    return np.column_stack([place[:, ::-1], heat.reshape(rows * columns, -1)[best, joints]])


def _apart(a: Person, b: Person) -> float:
    """Mean distance of the joints of two finds, in the larger one's extent."""
    extent = max(np.ptp(a[:, :2], axis=0).max(), np.ptp(b[:, :2], axis=0).max(), 1)
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean() / extent)


def _inside(person: Person, shape: tuple[int, ...]) -> Person:
    """Without joints beyond the picture's border: those are guesses."""
    height, width = shape[:2]
    beyond = (person[:, :2] < -0.5).any(axis=1) | (person[:, 0] > width - 0.5) | (person[:, 1] > height - 0.5)
    return np.where(beyond[:, None], 0, person)


def load_movenet(progress: Progress) -> Callable[[], MoveNet]:
    """Fetch the weights; each call of the result makes a detector for one video.

    Raises:
        EnvironmentFault: ai-edge-litert is not installed, or the weights cannot be had.
    """
    try:
        from fewview.calibration.detect.graph_model import GraphModel
    except ImportError as error:
        raise missing_library("ai-edge-litert", "pip install ai-edge-litert", error) from error
    whole_graph, whole, crop_graph, crop = (fetch(name, progress) for name in weights_of("movenet"))
    return lambda: MoveNet(
        lambda size: GraphModel(whole_graph, whole, size, _heads(_MULTIPOSE)),
        GraphModel(crop_graph, crop, (_CROP_SIDE, _CROP_SIDE), _heads(_THUNDER)),
    )


def _heads(numbers: tuple[int, ...]) -> list[str]:
    names = ("center_0", "kpt_regress_0", "kpt_heatmap_0", "kpt_offset_0")
    return [f"StatefulPartitionedCall/{n}/conv2d_{k}/BiasAdd" for n, k in zip(names, numbers, strict=True)]
