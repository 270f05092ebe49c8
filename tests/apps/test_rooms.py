"""`fewview synth rooms` and `fewview benchmark --structured3d`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fewview.apps.benchmarks.room_scores import Estimate, score
from fewview.apps.cli import main
from fewview.data.structured3d import RoomFolder, find_rooms
from fewview.layout.model import RoomLayout, Slab, Wall
from fewview.recon.scene import View


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    words = ["synth", "rooms", "--out", str(folder), "--seed", "4", "--count", "2", "--views", "4"]
    assert main([*words, "--size", "192", "144", "--plain-walls"]) == 0
    return folder


def _true_layout(room: RoomFolder) -> RoomLayout:
    polygon = room.floor()
    walls = tuple(Wall(a, b, True, 1.0) for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True))
    return RoomLayout(np.eye(3), walls, Slab(0.0, True, 1.0), Slab(room.height(), True, 1.0))


def test_layouts_from_true_depth_are_scored(rooms: Path, tmp_path: Path) -> None:
    assert [room.scene for room in find_rooms(rooms)] == [4, 5]
    figures = tmp_path / "figures.json"
    assert main(["benchmark", "--structured3d", str(rooms), "--from", "depth", "--json", str(figures)]) == 0
    document = json.loads(figures.read_text())
    overall = document["overall"]
    assert overall["rooms"] == 2
    assert overall["failed"] == 0
    assert overall["precision"]["0.15m_10deg"] > 0.9
    assert overall["recall"]["0.4m_30deg"] > 0.9
    assert overall["floor_iou"] > 0.9
    assert overall["pixel_error"] < 0.05
    assert overall["rra15"] == overall["rta15"] == 1
    assert {room["room"] for room in document["rooms"]} == {"scene_00004_room_0", "scene_00005_room_0"}


def test_the_truth_scores_full_marks_in_any_world(rooms: Path) -> None:
    """A world of other scale, turned and shifted, is aligned on the cameras."""
    room = find_rooms(rooms)[0]
    scale, turn, shift = 0.3, np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0.0]]), np.array([3.0, -2, 1])
    views = []
    for view in room.views():
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = turn @ view.T_world_camera[:3, :3], scale * turn @ view.center
        views.append(View(view.name, view.camera, T))
    true = _true_layout(room).scaled(scale)
    figures = score(room, Estimate(RoomLayout(turn.T, true.walls, true.floor, true.ceiling), views))
    assert set(figures["precision"].values()) == set(figures["recall"].values()) == {1.0}
    assert figures["floor_iou"] == pytest.approx(1)
    assert figures["iou"] > 0.98
    assert figures["depth_rmse_m"] < 0.01
    moved = [View(v.name, v.camera, v.T_world_camera + np.pad(shift[:, None], ((0, 1), (3, 0)))) for v in views]
    figures = score(room, Estimate(RoomLayout(turn.T, true.walls, true.floor, true.ceiling), moved))
    assert figures["recall"]["0.15m_10deg"] < 0.5, "a layout elsewhere is wrong"


def test_a_failed_room_counts_zero(rooms: Path) -> None:
    room = find_rooms(rooms)[0]
    figures = score(room, Estimate(None, [None] * 4))
    assert figures["failed"] is True
    assert set(figures["precision"].values()) == {0.0}
    assert (figures["floor_iou"], figures["iou"], figures["rra15"], figures["pixel_error"]) == (0, 0, 0, 1)
    assert figures["height_error_m"] == pytest.approx(room.height())


def test_what_is_no_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--structured3d", str(tmp_path)]) == 2
    assert "holds no room in Structured3D's format" in " ".join(capsys.readouterr().err.split())
    assert main(["synth", "rooms", "--out", str(tmp_path), "--count", "0"]) == 2
