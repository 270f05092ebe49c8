"""Cameras survive every format, and other programs read them as we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, LensEstimate, Verdict, read_cameras, write_cameras
from fewview.recon.io.colmap import SparsePoints, read_model, write_camera_exports, write_model
from fewview.recon.io.transforms import read_transforms, write_transforms
from fewview.recon.scene import Camera, View

# One folder for all examples of a property: every example writes every file anew.
FOLDER = pytest.fixture(scope="module")(lambda tmp_path_factory: tmp_path_factory.mktemp("cameras"))


def _finite(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_subnormal=False)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    width, height = draw(st.integers(1, 9000)), draw(st.integers(1, 9000))
    coefficients = draw(st.lists(_finite(-0.5, 0.5), min_size=5, max_size=5))
    fisheye = draw(st.booleans())
    if draw(st.booleans()):
        coefficients = [0.0] * 5
    # Canonical: no k3 where it is 0, nothing where all is; a fisheye has four.
    distortion = tuple(coefficients if coefficients[4] and not fisheye else coefficients[:4])
    return Camera(
        width,
        height,
        fx=draw(_finite(1, 1e5)),
        fy=draw(_finite(1, 1e5)),
        cx=draw(_finite(0, width)),
        cy=draw(_finite(0, height)),
        distortion=distortion if any(distortion) else (),
        fisheye=fisheye,
    )


@st.composite
def view_lists(draw: st.DrawFn) -> list[View]:
    names = draw(st.lists(st.text("abcäöü012_-. ", min_size=1).map(lambda s: f"x{s}.jpg"), max_size=4, unique=True))
    views = []
    for name in names:
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec(draw(st.lists(_finite(-3, 3), min_size=3, max_size=3))).as_matrix()
        T[:3, 3] = draw(st.lists(_finite(-1e3, 1e3), min_size=3, max_size=3))
        views.append(View(name, draw(cameras()), T))
    return views


def _same(a: list[View], b: list[View], tolerance: float) -> None:
    assert [(view.name, view.camera) for view in a] == [(view.name, view.camera) for view in b]
    for one, other in zip(a, b, strict=True):
        assert np.abs(one.T_world_camera - other.T_world_camera).max() <= tolerance


def _no_points() -> SparsePoints:
    return SparsePoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), [])


@given(views=view_lists(), units=st.sampled_from(["unknown", "metre"]), error=st.none() | _finite(0, 9))
def test_cameras_json_round_trip(FOLDER: Path, views: list[View], units: str, error: float | None) -> None:
    given = tuple(view.name for view in views[:1])
    verdicts = [Verdict(view.name, True, None, 7, error, 0.5) for view in views] + [Verdict("y", False, "no overlap")]
    lenses = (LensEstimate(("x.jpg", "y"), 900.5, 850.25, 1000.0),)
    write_cameras(FOLDER, CameraSet(views, units, "a known distance", "known", verdicts, given, ("go left",), lenses))
    first = (FOLDER / "cameras.json").read_bytes()
    read = read_cameras(FOLDER)
    _same(read.views, views, tolerance=0)
    assert read.lenses == lenses
    assert (read.units, read.scale_source, read.prior, read.given, read.verdicts, read.advice) == (
        units,
        "a known distance",
        "known",
        given,
        verdicts,
        ("go left",),
    )
    write_cameras(FOLDER, read)
    assert (FOLDER / "cameras.json").read_bytes() == first


@given(views=view_lists())
def test_transforms_round_trip(FOLDER: Path, views: list[View]) -> None:
    write_transforms(FOLDER / "transforms.json", views)
    _same(read_transforms(FOLDER / "transforms.json"), views, tolerance=0)


@given(views=view_lists(), seed=st.integers(0, 99), file_format=st.sampled_from(["binary", "text"]))
@settings(max_examples=40)
def test_colmap_round_trip(FOLDER: Path, views: list[View], seed: int, file_format: Any) -> None:
    for file in FOLDER.glob("*.bin"):
        file.unlink()
    views = [View(v.name.replace(" ", "_") + str(i), v.camera, v.T_world_camera) for i, v in enumerate(views)]
    rng = np.random.default_rng(seed)
    tracks = [
        [(int(i), rng.uniform(0, 100, 2)) for i in rng.permutation(len(views))[: rng.integers(0, len(views) + 1)]]
        for _ in range(5)
    ]
    points = SparsePoints(
        rng.normal(size=(5, 3)), rng.integers(0, 256, (5, 3)).astype(np.uint8), rng.uniform(0, 2, 5), tracks
    )
    write_model(FOLDER, views, points, file_format)
    read, read_points = read_model(FOLDER)
    scale = max([1.0, *(np.abs(view.center).max() for view in views)])
    _same(read, views, tolerance=1e-13 * scale)
    assert np.array_equal(read_points.xyz, points.xyz)
    assert np.array_equal(read_points.rgb, points.rgb)
    assert np.array_equal(read_points.error_px, points.error_px)
    for one, other in zip(read_points.tracks, tracks, strict=True):
        assert [i for i, _ in one] == [i for i, _ in other]
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(one, other, strict=True))


def _rig() -> tuple[list[View], SparsePoints]:
    """Three views, of which two share intrinsics, and points with exact observations."""
    rng = np.random.default_rng(1)
    shared = Camera(640, 480, 500, 510, 322, 238, (-0.1, 0.02, 0.001, -0.002))
    other = Camera(480, 640, 490, 490, 240, 320, (-0.1, 0.02, 0.001, -0.002, 0.01))
    views = []
    for i, camera in enumerate((shared, other, shared)):
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec([0.05 * i, -0.1 * i, 0.3 * i]).as_matrix()
        T[:3, 3] = [0.4 * i, 0.1, -0.2 * i]
        views.append(View(f"photo {i}.jpg", camera, T))
    xyz = rng.uniform([-1, -1, 4], [1, 1, 6], (20, 3))
    tracks = [[(i, _project(view, x)) for i, view in enumerate(views)] for x in xyz]
    return views, SparsePoints(xyz, np.full((20, 3), 99, np.uint8), np.zeros(20), tracks)


def _project(view: View, x: np.ndarray) -> np.ndarray:
    """Brown-Conrady by the book, independent of OpenCV and COLMAP."""
    p = view.T_camera_world @ [*x, 1]
    a, b = p[:2] / p[2]
    k1, k2, p1, p2, k3 = (*view.camera.distortion, 0.0)[:5]
    r2 = a * a + b * b
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    da = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)
    db = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b
    return np.array([view.camera.fx * da + view.camera.cx, view.camera.fy * db + view.camera.cy])


def test_exports_agree_with_pycolmap(tmp_path: Path) -> None:
    views, points = _rig()
    write_camera_exports(tmp_path, CameraSet(views), points)
    model = pycolmap.Reconstruction(tmp_path / "sparse" / "0")
    assert model.num_reg_images() == 3
    assert len(model.cameras) == 2
    model.update_point_3d_errors()
    assert max(point.error for point in model.points3D.values()) < 1e-9
    for view in views:
        image = model.find_image_with_name(view.name)
        assert np.allclose(image.projection_center(), view.center, atol=1e-12)
        for x in points.xyz:
            assert np.allclose(image.project_point(x), _project(view, x), atol=1e-9)
    _same(read_cameras(tmp_path).views, views, tolerance=0)
    _same(read_transforms(tmp_path / "transforms.json"), views, tolerance=0)
    first = {p.name: p.read_bytes() for p in (tmp_path / "sparse" / "0").iterdir()}
    write_camera_exports(tmp_path, CameraSet(views), points)
    assert {p.name: p.read_bytes() for p in (tmp_path / "sparse" / "0").iterdir()} == first


@pytest.mark.parametrize(
    ("model", "params", "camera"),
    [
        ("SIMPLE_PINHOLE", [50, 30, 20], (50, 50, 30, 20, ())),
        ("SIMPLE_RADIAL", [50, 30, 20, 0.1], (50, 50, 30, 20, (0.1, 0, 0, 0))),
        ("RADIAL", [50, 30, 20, 0.1, 0.2], (50, 50, 30, 20, (0.1, 0.2, 0, 0))),
        ("FULL_OPENCV", [50, 51, 30, 20, 0.1, 0, 0, 0, 0, 0, 0, 0], (50, 51, 30, 20, (0.1, 0, 0, 0))),
    ],
)
def test_foreign_camera_models(tmp_path: Path, model: str, params: list[float], camera: tuple) -> None:
    _foreign(tmp_path, model, params)
    (view,), _ = read_model(tmp_path)
    assert view.camera == Camera(60, 40, *camera)


@pytest.mark.parametrize(
    ("model", "params", "message"),
    [
        ("FOV", [50, 50, 30, 20, 0.9], "has a FOV camera;"),
        ("FULL_OPENCV", [50, 50, 30, 20, 0, 0, 0, 0, 0, 0.1, 0, 0], "has a camera with rational terms;"),
    ],
)
def test_unsupported_camera_models(tmp_path: Path, model: str, params: list[float], message: str) -> None:
    _foreign(tmp_path, model, params)
    with pytest.raises(InputError) as refused:
        read_model(tmp_path)
    assert str(refused.value) == (
        f"The COLMAP model in {tmp_path} {message} fewview reads SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, "
        "RADIAL, OPENCV, FULL_OPENCV without its k4 to k6, SIMPLE_RADIAL_FISHEYE, RADIAL_FISHEYE and OPENCV_FISHEYE. "
        "Undistort the photos first (COLMAP: "
        "`colmap image_undistorter`; OpenCV: `cv2.fisheye.undistortImage`) and give those with their pinhole cameras, "
        "or give the photos without cameras."
    )


def _foreign(folder: Path, model: str, params: list[float]) -> None:
    """A model of COLMAP before rigs: three text files."""
    (folder / "cameras.txt").write_text(f"1 {model} 60 40 {' '.join(map(str, params))}\n")
    (folder / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.jpg\n\n")
    (folder / "points3D.txt").write_text("")


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_damaged_colmap_model(tmp_path: Path, name: str) -> None:
    views, points = _rig()
    write_model(tmp_path, views, points)
    file = tmp_path / f"{name}.bin"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=r"The COLMAP model in .* (cannot be read|is damaged): .* Export it again\."):
        read_model(tmp_path)


def test_colmap_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_model(tmp_path)
    assert str(refused.value) == (
        f"There is no COLMAP model in {tmp_path}. Name the folder with cameras.bin or cameras.txt."
    )
    with pytest.raises(InputError) as refused:
        write_model(tmp_path, _rig()[0], _no_points(), "text")
    assert str(refused.value) == (
        "COLMAP's text format cannot hold the name `photo 0.jpg`, which has a space. "
        "Write the binary format, or rename the photo."
    )


def test_transforms_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    pose = [[1, 0, 0, 2], [0, 0, -1, 3], [0, 1, 0, 4], [0, 0, 0, 1]]
    document: dict[str, Any] = {
        "camera_angle_x": np.pi / 2, "w": 60, "h": 40, "k1": 0.1,
        "frames": [
            {"file_path": "./images/a.png", "transform_matrix": pose},
            {"file_path": "b.png", "transform_matrix": pose, "fl_x": 70, "cx": 31, "k1": 0},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    a, b = read_transforms(path)
    assert (a.name, b.name) == ("images/a.png", "b.png")
    assert a.camera.fx == pytest.approx(30)
    assert a.camera == Camera(60, 40, a.camera.fx, a.camera.fx, 30, 20, (0.1, 0, 0, 0))
    assert b.camera == Camera(60, 40, 70, 70, 31, 20)
    # The OpenGL camera looks along its -z, here the world's +y; its up is the world's +z.
    assert np.array_equal(a.T_world_camera[:3, 2], [0, 1, 0])
    assert np.array_equal(a.T_world_camera[:3, 1], [0, 0, -1])
    assert np.array_equal(a.center, [2, 3, 4])


def test_transforms_without_sizes_and_last_rows(tmp_path: Path) -> None:
    """As NeRF's synthetic scenes and Record3D write them."""
    path = tmp_path / "transforms.json"
    pose = [[1, 0, 0, 2], [0, 0, -1, 3], [0, 1, 0, 4]]
    frames = [{"file_path": f"./train/{name}", "transform_matrix": pose} for name in ("r_0", "r_1")]
    path.write_text(json.dumps({"camera_angle_x": np.pi / 2, "frames": frames}))
    (view,) = read_transforms(path, {"train/r_0": (80, 60)}.get)
    assert view.name == "train/r_0"
    assert view.camera == Camera(80, 60, view.camera.fx, view.camera.fx, 40, 30)
    assert view.camera.fx == pytest.approx(40)
    assert np.array_equal(view.T_world_camera[3], [0, 0, 0, 1])
    assert np.array_equal(view.center, [2, 3, 4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fl_x": None}, "is not a readable transforms.json: float() argument must be"),
        ({"w": ...}, "lacks 'w'. Give it at the top or in every frame."),
        ({"fl_x": ...}, "lacks 'fl_x'. Give it at the top or in every frame."),
        ({"fl_x": -3}, "the size and focal lengths of a are not positive. Export it again."),
        ({"cx": float("nan")}, "the intrinsics of a are not finite. Export it again."),
        (
            {"camera_model": "FOV"},
            "are of the model FOV, which fewview cannot read. Undistort the photos first (COLMAP: ",
        ),
        ({"camera_model": "EQUIRECTANGULAR"}, "are of the model EQUIRECTANGULAR, which fewview cannot read. Undistort"),
        ({"k4": 0.1}, "are of the model rational OPENCV (k4 to k6), which fewview cannot read. Undistort the photos"),
        ({"transform_matrix": np.zeros((4, 4)).tolist()}, "a pose is not a rotation and a translation."),
        ({"transform_matrix": [[1]]}, "a pose is not a finite 4x4 matrix."),
    ],
)
def test_transforms_errors(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    frame = {"file_path": "a", "w": 4, "h": 4, "fl_x": 3, "transform_matrix": np.eye(4).tolist(), **change}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"frames": [{key: value for key, value in frame.items() if value is not ...}]}))
    with pytest.raises(InputError) as refused:
        read_transforms(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_cameras_json_errors(tmp_path: Path) -> None:
    def error() -> str:
        with pytest.raises(InputError) as refused:
            read_cameras(tmp_path)
        return str(refused.value)

    path = tmp_path / "cameras.json"
    assert error() == f"There is no {path}. Name a finished `cameras` or `splat` folder."
    path.write_text("{}")
    assert error() == f"{path} lacks 'views'. Write it again with fewview."
    path.write_text("{")
    assert error().startswith(f"{path} is not a cameras.json of fewview: Expecting property name")
    write_cameras(tmp_path, CameraSet(_rig()[0]))
    written = path.read_text()
    path.write_text(written.replace('"units": "unknown"', '"units": "mile"'))
    assert "units 'mile' is none of unknown, metre." in error()
    path.write_text(written.replace('"fx": 490', '"fx": -490'))
    assert "the size and focal lengths of photo 1.jpg are not positive." in error()


def test_a_pose_that_is_not_finite_never_reaches_a_file(tmp_path: Path) -> None:
    view = View("a.jpg", Camera(4, 4, 3, 3, 2, 2), np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="Out of range float"):
        write_cameras(tmp_path, CameraSet([view]))
