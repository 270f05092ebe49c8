"""MoveNet: its graphs run as torch runs them, and its maps become people in pixels."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from fewview.calibration.detect import movenet
from fewview.calibration.detect.detector import make_detectors
from fewview.calibration.detect.graph_model import GraphModel
from fewview.calibration.detect.videos import frames_of
from fewview.calibration.inputs.skeletons import SKELETONS
from fewview.recon.errors import EnvironmentFault
from fewview.recon.progress import LogProgress


def _coded(*texts: str) -> list[str]:
    return [base64.b64encode(text.encode()).decode() for text in texts]


def _node(op: str, name: str, *inputs: str, **attributes: object) -> dict[str, object]:
    return {"op": op, "name": name, "input": list(inputs), "attr": attributes}


def _convolution(op: str, name: str, *inputs: str, stride: int = 1, then: tuple[str, ...] = ()) -> dict[str, object]:
    return _node(
        op,
        name,
        *inputs,
        strides={"list": {"i": ["1", str(stride), str(stride), "1"]}},
        padding={"s": _coded("SAME")[0]},
        **({"fused_ops": {"list": {"s": _coded("BiasAdd", *then)}}} if len(inputs) > 2 else {}),
    )


def _write_graph(folder: Path, nodes: list[dict[str, object]], constants: Mapping[str, np.ndarray]) -> None:
    manifest, stored = [], b""
    for name, values in constants.items():
        entry: dict[str, object] = {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
        if values.dtype == np.float32:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            values = values.astype("<f2")
        manifest.append(entry)
        stored += values.tobytes()
    document = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["w.bin"], "weights": manifest}]}
    (folder / "graph.json").write_text(json.dumps(document))
    (folder / "w.bin").write_bytes(stored)


def test_a_graph_runs_as_torch_runs_it(tmp_path: Path) -> None:
    """Every operator, an odd size and an even one (TensorFlow pads those differently), halves of precision."""
    random = np.random.default_rng(0)

    def halves(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float16).astype(np.float32)

    constants = {"k1": halves(3, 3, 3, 8), "b1": halves(8), "k2": halves(3, 3, 8, 1), "b2": halves(8)}
    constants |= {"k3": halves(1, 1, 8, 5), "b3": halves(5), "k4": halves(3, 3, 8, 1), "half": np.float32([[[[0.5]]]])}
    constants |= {"twice": np.array([2, 2], np.int32)}
    nodes = [
        _node("Placeholder", "input"),
        _node("Cast", "float", "input"),
        _node("Mul", "scaled", "float", "half"),
        _convolution("_FusedConv2D", "first", "scaled", "k1", "b1", stride=2, then=("Relu6",)),
        _convolution("FusedDepthwiseConv2dNative", "second", "first", "k2", "b2", stride=2, then=("Relu",)),
        _node("Shape", "shape", "second"),
        _node("Mul", "size", "shape", "twice"),
        _node("ResizeBilinear", "large", "second", "size"),
        _convolution("DepthwiseConv2dNative", "third", "large", "k4"),
        _node("AddV2", "sum", "third", "first"),
        _convolution("_FusedConv2D", "head", "sum", "k3", "b3"),
    ]
    _write_graph(tmp_path, nodes, constants)
    k1, b1, k2, b2, k3, b3, k4 = (torch.from_numpy(constants[n]) for n in ("k1", "b1", "k2", "b2", "k3", "b3", "k4"))
    for height, width in ((16, 24), (12, 20)):
        image = random.integers(0, 9, (height, width, 3)).astype(np.float32)
        first, head = GraphModel(tmp_path / "graph.json", tmp_path / "w.bin", (height, width), ["first", "head"])(image)
        x = 0.5 * torch.from_numpy(image).permute(2, 0, 1)[None]
        # An even side at stride 2: one row or column of zeros, below and to the right.
        x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), k1.permute(3, 2, 0, 1), b1, 2).clamp(0, 6)
        assert np.allclose(first, x[0].permute(1, 2, 0).numpy(), atol=1e-4)
        odd = [n % 2 for n in x.shape[2:]]
        y = functional.pad(x, (odd[1], 1, odd[0], 1))
        y = functional.conv2d(y, k2.permute(2, 3, 0, 1), b2, 2, groups=8).relu()
        y = functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = functional.conv2d(y, k4.permute(2, 3, 0, 1), None, 1, 1, groups=8) + x
        y = functional.conv2d(y, k3.permute(3, 2, 0, 1), b3)
        assert np.allclose(head, y[0].permute(1, 2, 0).numpy(), atol=1e-4)
    nodes.append(_node("Tanh", "odd", "head"))
    _write_graph(tmp_path, nodes, constants)
    with pytest.raises(KeyError, match="Tanh"):
        GraphModel(tmp_path / "graph.json", tmp_path / "w.bin", (16, 24), ["odd"])


class Stage:
    """People before a camera that paints every pixel with its own place, so that stand-ins for both networks can tell
    where each cell of their maps lies."""

    def __init__(self, *people: np.ndarray) -> None:
        self.people = list(people)
        y, x = np.mgrid[:256, :256]
        self.rgb = np.stack([x, y, np.full_like(x, 255)], axis=-1).astype(np.uint8)
        self.calls = {"whole": 0, "crop": 0}

    def detector(self) -> movenet.MoveNet:
        return movenet.MoveNet(lambda size: self._network("whole"), self._network("crop"))

    def _network(self, which: str) -> movenet.Network:
        def run(picture: np.ndarray) -> list[np.ndarray]:
            self.calls[which] += 1
            cells = cv2.resize(picture, (picture.shape[1] // 4, picture.shape[0] // 4), interpolation=cv2.INTER_NEAREST)
            rows, columns = cells.shape[:2]
            middles, heat = np.full((rows, columns, 1), -9.0), np.full((rows, columns, 17), -9.0)
            ways, offsets = np.zeros((rows, columns, 17, 2)), np.zeros((rows, columns, 34))
            for person in self.people:
                low, high = np.ptp(cells[cells[..., 2] > 200][:, :2], axis=0), np.ptp(person, axis=0)
                place = np.array([_nearest(cells, xy) for xy in (person.mean(axis=0), *person)])
                # Neither sees who is out of the picture, or less than a fifth of it.
                miss = np.abs(cells[tuple(place[0])][:2] - person.mean(axis=0)).max()
                if high.max() < 0.2 * low.max() or miss > 0.05 * low.max():
                    continue
                middles[tuple(place[0])] = 5
                ways[tuple(place[0])] = place[1:] - place[0]
                heat[(*place[1:].T, np.arange(17))] = 3
            return [middles, ways.reshape(rows, columns, 34), heat, offsets]

        return run


def _nearest(cells: np.ndarray, xy: np.ndarray) -> tuple[int, int]:
    away = np.hypot(cells[..., 0] - xy[0], cells[..., 1] - xy[1]) + 1e3 * (cells[..., 2] < 200)
    row, column = np.unravel_index(away.argmin(), away.shape)
    return int(row), int(column)


def _person(x: float, y: float, size: float) -> np.ndarray:
    """17 joints about a middle."""
    shape = np.random.default_rng(1).uniform(-0.5, 0.5, (17, 2)) * [0.5, 1]
    return np.array([x, y]) + size * shape


def _places(people: list[np.ndarray]) -> list[tuple[int, int]]:
    return sorted(tuple(person[:, :2].mean(axis=0).round().astype(int).tolist()) for person in people)


def test_people_are_found_followed_and_found_again() -> None:
    stage = Stage(_person(80, 120, 90), _person(180, 130, 100))
    detector = stage.detector()
    for step in range(8):
        stage.people = [_person(80 + 2 * step, 120, 90), _person(180 - step, 130, 100)]
        found = detector(stage.rgb)
        assert len(found) == 2
        for truth in stage.people:
            nearest = min(found, key=lambda person: abs(person[:, :2] - truth).mean())
            assert np.abs(nearest[:, :2] - truth).mean() < 1.5
            assert np.allclose(nearest[:, 2], 1 / (1 + np.exp(-3)))
    assert stage.calls == {"whole": 1, "crop": 16}, "they were followed"
    stage.people.append(_person(40, 200, 60))
    assert max(len(detector(stage.rgb)) for _ in range(4)) == 3, "the picture is searched now and then"
    searched = stage.calls["whole"]
    stage.people = [_person(215, 35, 60)]
    (person,) = detector(stage.rgb)
    assert stage.calls["whole"] == searched + 1, "lost, so it looked again"
    assert np.abs(person[:, :2] - stage.people[0]).mean() < 1.5


def test_two_crops_on_one_person_are_one_and_far_people_are_sought_in_quarters() -> None:
    stage = Stage(_person(100, 120, 90), _person(150, 120, 90))
    detector = stage.detector()
    assert len(detector(stage.rgb)) == 2
    stage.people = [_person(125, 120, 90)]
    assert len(detector(stage.rgb)) == 1
    far = Stage(_person(200, 190, 40))
    (person,) = far.detector()(far.rgb)
    assert far.calls["whole"] == 5
    assert np.abs(person[:, :2] - far.people[0]).mean() < 1.5


def test_crops_stand_upright() -> None:
    person = np.column_stack([_person(100, 80, 60), np.ones(17)])
    person[:, 0] += 0.6 * (100 - person[:, 1])
    lying = person[:, [1, 0, 2]] * [-1, 1, 1]  # turned by a quarter, clockwise
    regions = [movenet._region(each) for each in (person, lying)]
    assert regions[1].angle - regions[0].angle == pytest.approx(np.pi / 2)
    assert regions[1].side == pytest.approx(regions[0].side)
    for each, region in zip((person, lying), regions, strict=True):
        M = region.to_image()
        inside = np.linalg.solve(M[:, :2], (each[:, :2] + 0.5 - M[:, 2]).T).T
        assert inside.min() > 0.1
        assert inside.max() < 0.9
        trunk = inside[[5, 6]].mean(axis=0) - inside[[11, 12]].mean(axis=0)
        assert abs(trunk[0]) < 1e-9 < -trunk[1]
    person[5, 2] = 0.1
    assert movenet._region(person).angle == 0, "a trunk that is not seen turns nothing"


def test_joints_beyond_the_border_are_absent() -> None:
    stage = Stage(_person(128, 128, 90))
    outside = stage.people[0].copy()
    stage.people[0][3] = 255.4, 100
    network = stage._network("crop")

    def beyond(picture: np.ndarray) -> list[np.ndarray]:
        maps = network(picture)
        maps[3][..., 7] = 40  # the offset of joint 3 along x
        return maps

    (person,) = movenet.MoveNet(lambda size: stage._network("whole"), beyond)(stage.rgb)
    assert not person[3].any()
    assert (person[np.arange(17) != 3, 2] > 0).all()
    assert np.abs(person[4, :2] - outside[4]).max() < 3


@pytest.mark.data
def test_movenet_agrees_with_openpose_on_a_real_video(mocap: Path) -> None:
    folder = mocap / "pose2sim_single"
    truth = SKELETONS["BODY_25B"].to_common(np.load(folder / "body25b.npz")["persons"][2])
    try:
        detector = make_detectors("movenet", LogProgress())()
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    for number, rgb in itertools.islice(frames_of(folder / "videos" / "cam03.mp4", 60.0), 3):
        found = SKELETONS["COCO_17"].to_common(max(detector(rgb), key=lambda person: np.ptp(person[:, 1])))
        distance = np.linalg.norm(found[:, :2] - truth[number, :, :, :2], axis=-1)
        distance[truth[number, :, :, 2] < 0.3] = np.nan
        # The athlete is a thousand pixels tall.
        assert np.nanmin([np.nanmedian(row) for row in distance if np.isfinite(row).any()]) < 25
