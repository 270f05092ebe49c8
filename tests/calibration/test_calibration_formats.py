"""Calibrations and motion survive every format, and other programs read them as we do."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import c3d
import cv2
import ezc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from small_rig import ring, walker

from fewview.calibration.formats.axes import opencv_matrix, turned
from fewview.calibration.formats.c3d import write_c3d
from fewview.calibration.formats.calibration_toml import read_calibration_toml, write_anipose, write_pose2sim
from fewview.calibration.formats.known import match_names, read_cameras_file
from fewview.calibration.formats.motion import MARKERS, read_motion, write_motion
from fewview.calibration.formats.opencv_yaml import read_opencv_yaml, write_opencv_yaml
from fewview.calibration.formats.refit import without_k3
from fewview.calibration.formats.trc import write_trc
from fewview.calibration.observations import Motion
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import Z_UP
from fewview.recon.io.cameras import CameraSet, canonical_distortion, write_cameras
from fewview.recon.scene import Camera, View

# One folder for all examples of a property: every example writes every file anew.
FOLDER = pytest.fixture(scope="module")(lambda tmp_path_factory: tmp_path_factory.mktemp("formats"))


def _finite(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_subnormal=False)


@st.composite
def view_lists(draw: st.DrawFn, names: st.SearchStrategy[str], k3: bool = True) -> list[View]:
    views = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique_by=str.casefold)):
        width, height = draw(st.integers(64, 9000)), draw(st.integers(64, 9000))
        coefficients = [draw(_finite(-0.5, 0.5)) for _ in range(5 if k3 else 4)]
        camera = Camera(
            width,
            height,
            fx=draw(_finite(10, 1e5)),
            fy=draw(_finite(10, 1e5)),
            cx=draw(st.integers(0, 4 * width)) / 4,
            cy=draw(st.integers(0, 4 * height)) / 4,
            distortion=canonical_distortion(coefficients),
        )
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec([draw(_finite(-1.8, 1.8)) for _ in range(3)]).as_matrix()
        T[:3, 3] = [draw(_finite(-100, 100)) for _ in range(3)]
        views.append(View(name, camera, T))
    return views


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name != "metadata"
)
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_]{0,6}", fullmatch=True)


def _same(found: dict[str, Camera | View], views: list[View]) -> None:
    """Lenses exactly; poses but for the rounding of the rotation vector."""
    assert list(found) == [view.name for view in views]
    for view in views:
        read = found[view.name]
        assert isinstance(read, View)
        assert read.camera == view.camera
        scale = 1 + np.abs(view.center).max()
        assert np.abs(read.T_world_camera - view.T_world_camera).max() < 1e-13 * scale


@given(views=view_lists(TEXTS, k3=False))
@settings(max_examples=50)
def test_pose2sim_round_trip(FOLDER: Path, views: list[View]) -> None:
    write_pose2sim(FOLDER / "Calib.toml", views)
    _same(read_calibration_toml(FOLDER / "Calib.toml"), views)
    document = tomllib.loads((FOLDER / "Calib.toml").read_text(encoding="utf-8"))
    for view in views:
        table = document[view.name]
        assert set(table) == {"name", "size", "matrix", "distortions", "rotation", "translation", "fisheye"}
        assert table["fisheye"] is False
        assert len(table["distortions"]) == 4


@given(views=view_lists(TEXTS))
@settings(max_examples=50)
def test_anipose_round_trip(FOLDER: Path, views: list[View]) -> None:
    write_anipose(FOLDER / "calibration.toml", views)
    _same(read_calibration_toml(FOLDER / "calibration.toml"), views)


@given(views=view_lists(KEYS))
@settings(max_examples=50)
def test_opencv_yaml_round_trip(FOLDER: Path, views: list[View]) -> None:
    write_opencv_yaml(FOLDER, views)
    _same(read_opencv_yaml(FOLDER), views)
    storage = cv2.FileStorage(str(FOLDER / "extri.yml"), cv2.FILE_STORAGE_READ)
    for view in views:
        vector, matrix = (storage.getNode(f"{kind}_{view.name}").mat() for kind in ("R", "Rot"))
        assert np.allclose(cv2.Rodrigues(vector)[0], matrix, atol=1e-9)


def test_opencv_yaml_as_opencv_writes_it(tmp_path: Path) -> None:
    views = ring(2)
    files = {name: cv2.FileStorage(str(tmp_path / name), cv2.FILE_STORAGE_WRITE) for name in ("intri.yml", "extri.yml")}
    for file in files.values():
        file.startWriteStruct("names", cv2.FILE_NODE_SEQ)
        for view in views:
            file.write("", view.name)
        file.endWriteStruct()
    for view in views:
        T = turned(view, Z_UP).T_camera_world
        files["intri.yml"].write(f"K_{view.name}", opencv_matrix(view.camera))
        files["intri.yml"].write(f"dist_{view.name}", np.array(view.camera.distortion)[None])
        files["intri.yml"].write(f"W_{view.name}", view.camera.width)
        files["intri.yml"].write(f"H_{view.name}", view.camera.height)
        files["extri.yml"].write(f"Rot_{view.name}", T[:3, :3])
        files["extri.yml"].write(f"T_{view.name}", T[:3, 3:])
    for file in files.values():
        file.release()
    _same(read_opencv_yaml(tmp_path), views)


def test_a_foreign_program_sees_the_same_pixels(tmp_path: Path) -> None:
    """OpenCV with what Calib.toml holds: pixel centres at integers, z up."""
    view, points = ring()[1], walker(3).reshape(-1, 3)
    write_pose2sim(tmp_path / "Calib.toml", [view])
    table = tomllib.loads((tmp_path / "Calib.toml").read_text())[view.name]
    rotation, translation, K, distortion = (
        np.array(table[key]) for key in ("rotation", "translation", "matrix", "distortions")
    )
    seen, _ = cv2.projectPoints(points @ Z_UP.T, rotation, translation, K, distortion)
    T = view.T_camera_world
    truth, _ = cv2.projectPoints(
        points, cv2.Rodrigues(T[:3, :3])[0], T[:3, 3], view.camera.matrix, np.array(view.camera.distortion)
    )
    assert np.allclose(seen + 0.5, truth, atol=1e-9)
    assert (points @ Z_UP.T)[:, 2].min() > -0.2, "heads are up"
    assert (points @ Z_UP.T)[:, 2].max() > 1.5


def test_a_lens_with_k3_is_refitted_for_pose2sim(tmp_path: Path) -> None:
    camera = Camera(1920, 1080, 1400, 1400, 950, 545, (-0.2, 0.1, 1e-3, -1e-3, -0.03))
    with pytest.raises(ValueError, match="has k3"):
        write_pose2sim(tmp_path / "Calib.toml", [View("a", camera, np.eye(4))])
    refitted, moved_px = without_k3(camera)
    rays = np.random.default_rng(0).uniform([-0.8, -0.45, 1], [0.8, 0.45, 1], (2000, 3))
    a, b = (
        cv2.projectPoints(rays, np.zeros(3), np.zeros(3), c.matrix, np.array(c.distortion))[0][:, 0]
        for c in (camera, refitted)
    )
    inside = ((a > 0) & (a < [1920, 1080])).all(axis=1)
    assert np.linalg.norm(a - b, axis=1)[inside].max() <= moved_px < 1.5
    dropped = replace(camera, distortion=camera.distortion[:4])
    c = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), dropped.matrix, np.array(dropped.distortion))[0][:, 0]
    assert np.linalg.norm(a - c, axis=1)[inside].max() > 3 * moved_px
    exact, nothing = without_k3(dropped)
    assert (exact, nothing) == (dropped, 0.0)


@pytest.mark.data
def test_qualisys_says_what_the_truth_says(mocap: Path) -> None:
    folder = mocap / "pose2sim_single"
    qualisys = read_cameras_file(folder / "Calib.qca.txt")
    truth = read_cameras_file(folder / "cameras.json")
    for name, view in match_names(qualisys, truth, folder).items():
        other = truth[name]
        assert isinstance(view, View)
        assert isinstance(other, View)
        assert view.camera == other.camera
        assert np.allclose(turned(view, Z_UP).T_world_camera, other.T_world_camera, atol=1e-12)


def test_known_cameras_may_be_partial_and_of_our_own(tmp_path: Path) -> None:
    views = ring(2)
    write_anipose(tmp_path / "lenses.toml", views)
    text = (tmp_path / "lenses.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith(("rotation", "translation"))]
    (tmp_path / "lenses.toml").write_text("\n".join(lines))
    assert read_cameras_file(tmp_path / "lenses.toml") == {view.name: view.camera for view in views}
    write_cameras(tmp_path, CameraSet(views))
    _same(read_cameras_file(tmp_path), views)
    matched = match_names(read_cameras_file(tmp_path / "cameras.json"), ["Cam_02", "other"], tmp_path)
    assert list(matched) == ["Cam_02"]
    plain = [{"name": v.name, "size": [640, 480], "K": np.diag([5, 5, 1]).tolist(), "dist": [0] * 5} for v in views]
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    assert read_cameras_file(tmp_path / "plain.json")["cam01"] == Camera(640, 480, 5, 5, 0.5, 0.5)


def test_known_cameras_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def refused(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError) as error:
            read_cameras_file(tmp_path / name)
        return str(error.value).replace(str(tmp_path), "")

    entries = "size = [4, 4]\nmatrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\ndistortions = [0, 0, 0, 0]\n"
    assert refused("a.toml", f"[a]\n{entries}fisheye = true\n") == (
        "/a.toml is not a readable calibration: a is a fisheye lens, which fewview does not model. Export it again."
    )
    assert refused("a.toml", "[a]\nsize = [4, 4]\n") == (
        "/a.toml lacks 'matrix'. Each camera needs size, matrix and distortions."
    )
    assert refused("a.qca.txt", "<calibration>").startswith("/a.qca.txt is not a readable Qualisys calibration: ")
    assert refused("a.qca.txt", "<calibration/>").startswith("/a.qca.txt holds no cameras.")
    assert refused("intri.yml", "%YAML:1.0\n---\nnames:\n   - a\n") == (
        "/intri.yml is not a readable calibration: it does not say the image size of a (W_a, H_a). Export it again."
    )
    assert (
        refused("cameras.json", "[{}]") == "/cameras.json is not a readable list of cameras: 'name'. Export it again."
    )
    assert refused("a.csv", "").startswith("/a.csv is no calibration that fewview knows. fewview reads Calib.toml,")
    with pytest.raises(InputError) as error:
        match_names({"left": Camera(4, 4, 3, 3, 2, 2)}, ["cam01"], Path("a.toml"))
    assert str(error.value) == (
        "None of the cameras in a.toml (left) has the name of a camera (cam01). Rename the cameras in one of the two."
    )


def _motion(people: int = 2, frames: int = 9) -> Motion:
    xyz = np.concatenate([walker(frames, seed) + np.array([seed, 0, 0]) for seed in range(people)], axis=1)
    xyz[2, 0, 5], xyz[4:6, 1] = np.nan, np.nan
    known = np.isfinite(xyz).all(-1)
    return Motion(59.94, 0.25, xyz, np.where(known, 0.9, 0.0), np.where(known, 4, 0))


def test_motion_round_trip(tmp_path: Path) -> None:
    motion = _motion()
    write_motion(tmp_path / "a.npz", motion)
    first = (tmp_path / "a.npz").read_bytes()
    read = read_motion(tmp_path / "a.npz")
    assert (read.fps, read.start_s) == (motion.fps, motion.start_s)
    assert np.array_equal(read.xyz, motion.xyz, equal_nan=True)
    assert np.array_equal(read.score, motion.score)
    assert np.array_equal(read.support, motion.support)
    write_motion(tmp_path / "a.npz", read)
    assert (tmp_path / "a.npz").read_bytes() == first


def test_trc_is_a_table_with_y_up(tmp_path: Path) -> None:
    motion = _motion()
    write_trc(tmp_path / "a.trc", motion.xyz[:, 1], motion.fps, motion.start_s, "m")
    lines = (tmp_path / "a.trc").read_text().splitlines()
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert (header["NumFrames"], header["NumMarkers"], header["Units"]) == ("9", "23", "m")
    assert float(header["DataRate"]) == motion.fps
    assert [name for name in lines[3].split("\t")[2:] if name] == list(MARKERS)
    rows = [[float(cell) if cell else np.nan for cell in line.split("\t")] for line in lines[6:]]
    table = np.array(rows)
    assert table[:, 0].tolist() == list(range(1, 10))
    assert np.allclose(table[:, 1], motion.start_s + np.arange(9) / motion.fps)
    back = table[:, 2:].reshape(9, 23, 3) * [1, -1, -1]
    assert np.array_equal(back, motion.xyz[:, 1], equal_nan=True)


def _blank(frames: int, people: int) -> Motion:
    xyz = np.zeros((frames, people, 23, 3))
    return Motion(50.0, 0.0, xyz, xyz[..., 0], xyz[..., 0].astype(int))


@pytest.mark.filterwarnings("ignore:No analog data found in file")
@pytest.mark.parametrize(("people", "frames"), [(1, 9), (2, 9), (12, 3), (1, 66_000)])
def test_c3d_is_read_by_two_other_programs(tmp_path: Path, people: int, frames: int) -> None:
    motion = _motion(2, 9) if people == 2 else _blank(frames, people)
    if people != 2:
        motion.xyz[:] = walker(3)[np.arange(frames) % 3]
        motion.xyz[1, 0, 3] = np.nan
    write_c3d(tmp_path / "a.c3d", motion.xyz, motion.fps, "metre")
    truth = (motion.xyz @ Z_UP.T * 1000).reshape(frames, -1, 3)
    read = ezc3d.c3d(str(tmp_path / "a.c3d"))
    assert np.allclose(read["data"]["points"][:3].transpose(2, 1, 0), truth, atol=1e-3, equal_nan=True)
    point = read["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"]
    assert np.isclose(point["RATE"]["value"][0], motion.fps)
    labels = point["LABELS"]["value"] + point.get("LABELS2", {"value": []})["value"]
    assert len(labels) == 23 * people
    assert labels[5] == ("LShoulder" if people == 1 else "P1_LShoulder")
    with (tmp_path / "a.c3d").open("rb") as file:
        other = c3d.Reader(file)
        assert (other.last_frame, other.point_used) == (frames, 23 * people)
        _, points, _ = next(iter(other.read_frames()))
        assert np.allclose(points[:, :3], np.nan_to_num(truth[0]), atol=1e-3)
