"""Structured3D's files are read and written exactly, and say of a gallery room what is true."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.data.gallery import Room, generate
from fewview.data.structured3d import (
    RoomFolder,
    find_rooms,
    read_annotation,
    read_layout,
    write_annotation,
    write_layout,
    write_room,
)
from fewview.data.structured3d.errata import INVALID_ROOMS, INVALID_SCENES
from fewview.data.structured3d.images import BACKGROUND, read_depth
from fewview.data.structured3d.poses import read_pose, write_pose
from fewview.layout.metrics import floor_iou
from fewview.recon.errors import InputError
from fewview.recon.scene import Camera, View

SIZE = (160, 120)


@pytest.fixture(scope="module", params=["l", "slanted"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Room, RoomFolder]:
    room = generate(seed=3, shape=request.param, views=3, size=SIZE, walk="around")
    return room, write_room(room, tmp_path_factory.mktemp("s3d"), scene=3)


def test_cameras_depth_and_plan_read_back(written: tuple[Room, RoomFolder]) -> None:
    room, folder = written
    assert [found.folder for found in find_rooms(folder.folder.parents[2])] == [folder.folder]
    for view, shot, path in zip(folder.views(), room.shots, folder.view_folders, strict=True):
        assert np.allclose(view.T_world_camera, shot.view.T_world_camera, atol=1e-12)
        assert np.allclose(view.camera.matrix, shot.view.camera.matrix, atol=1e-9)
        depth = read_depth(path / "depth.png", view.camera)
        assert np.abs(depth - shot.depth).max() <= 0.00051, "the file is in millimetres"
        assert (cv2.imread(str(path / "rgb_rawlight.png"))[..., ::-1] == shot.image).all()
        instance = cv2.imread(str(path / "instance.png"), cv2.IMREAD_UNCHANGED)
        shell = np.isin(shot.instance, [plane.instance for plane in room.planes])
        assert ((instance == BACKGROUND) == shell).all()
    assert floor_iou(folder.floor(), room.polygon) == pytest.approx(1)
    assert folder.height() == pytest.approx(room.height)


def test_layouts_agree_with_the_pictures(written: tuple[Room, RoomFolder]) -> None:
    """Where a photo shows wall, floor or ceiling, the layout's mask and plane are those of the renderer."""
    room, folder = written
    for layout, shot in zip(folder.layouts(), room.shots, strict=True):
        labels = layout.labels(SIZE, SIZE)
        assert (labels >= 0).all(), "an empty room fills the picture"
        true = np.full(labels.shape, -1)
        for number, plane in enumerate(room.planes):
            true[shot.instance == plane.instance] = number
        assert (np.array([plane.ID for plane in layout.planes])[labels][true >= 0] == true[true >= 0]).mean() > 0.998
        v, u = np.indices(labels.shape)
        rays = np.stack([u + 0.5, v + 0.5, np.ones_like(u)], -1) @ np.linalg.inv(shot.view.camera.matrix).T
        for index, plane in enumerate(layout.planes):
            normal, offset = layout.plane(index)
            at = (labels == index) & (true == plane.ID)
            assert np.allclose(-offset / (rays[at] @ normal), shot.depth[at], atol=1e-4)
        corners = {j.ID for j in layout.junctions if j.ID is not None}
        assert corners, "corners of the room are among the junctions"


def test_json_reads_back_equal_and_writes_the_same_bytes(written: tuple[Room, RoomFolder], tmp_path: Path) -> None:
    _, folder = written
    path = folder.folder.parents[1] / "annotation_3d.json"
    write_annotation(tmp_path / "a.json", read_annotation(path))
    assert (tmp_path / "a.json").read_bytes() == path.read_bytes()
    path = folder.view_folders[0] / "layout.json"
    write_layout(tmp_path / "l.json", read_layout(path))
    assert (tmp_path / "l.json").read_bytes() == path.read_bytes()
    document = json.loads((folder.folder.parents[1] / "annotation_3d.json").read_text())
    lines = np.array(document["lineJunctionMatrix"])
    assert (lines.sum(1) == 2).all(), "a line ends in two junctions"
    kinds = {group["type"] for group in document["semantics"]}
    assert kinds <= {"living room", "door", "window"}
    for group in document["semantics"]:
        if group["type"] != "living room":
            (plane,) = group["planeID"]
            assert sum(document["planeLineMatrix"][plane]) == 4


@given(
    turn=st.integers(0, 2**31).map(lambda seed: Rotation.random(rng=seed).as_matrix()),
    eye=st.tuples(*[st.floats(-50, 50)] * 3),
    focal=st.tuples(st.floats(100, 5000), st.floats(100, 5000)),
)
def test_any_centred_pinhole_survives_the_pose_file(tmp_path_factory, turn, eye, focal) -> None:  # type: ignore[no-untyped-def]
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = turn, eye
    view = View("0", Camera(1280, 720, *focal, 640.0, 360.0), T)
    path = tmp_path_factory.mktemp("pose") / "camera_pose.txt"
    write_pose(path, view)
    back = read_pose(path, "0", (1280, 720))
    assert np.allclose(back.T_world_camera, T, atol=1e-9)
    assert np.allclose([back.camera.fx, back.camera.fy], focal, rtol=1e-12)


def test_the_pose_file_of_the_dataset_is_understood(tmp_path: Path) -> None:
    """A pose as Structured3D has it: 1280x720 and half angles that make a focal length of 762 pixels."""
    path = tmp_path / "camera_pose.txt"
    path.write_text("1000 2000 1500 0 1 0 0 0 1 0.698614 0.441313 1")
    view = read_pose(path, "0", (1280, 720))
    assert view.camera.fx == pytest.approx(762, abs=0.5)
    assert view.center == pytest.approx([1, 2, 1.5])
    assert view.T_world_camera[:3, :3] == pytest.approx(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no room in Structured3D's format"):
        find_rooms(tmp_path)
    (tmp_path / "layout.json").write_text('{"junctions": [], "planes": [{}]}')
    with pytest.raises(InputError, match=r"layout\.json is not in Structured3D's format"):
        read_layout(tmp_path / "layout.json")
    (tmp_path / "camera_pose.txt").write_text("1 2 3")
    with pytest.raises(InputError, match="not twelve finite numbers"):
        read_pose(tmp_path / "camera_pose.txt", "0", SIZE)
    off_centre = View("v", Camera(100, 80, 90, 90, 51, 40), np.eye(4))
    with pytest.raises(ValueError, match="principal point in the middle"):
        write_pose(tmp_path / "p.txt", off_centre)


def test_rooms_of_the_errata_are_left_out(tmp_path: Path) -> None:
    assert len(INVALID_SCENES) == 6
    assert len(INVALID_ROOMS) == 90
    room = generate(seed=0, views=1, size=(64, 48), walk="around")
    for scene, number in ((1155, 0), (10, 846619), (10, 5)):
        write_room(room, tmp_path, scene=scene, room_id=number)
    assert [found.name for found in find_rooms(tmp_path)] == ["scene_00010_room_5"]
