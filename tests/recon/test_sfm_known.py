"""Known cameras, intrinsics and lengths are used as they are, and photos without them are added."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sfm_scene import MatchedScene, pair_errors, project, scene

from fewview.apps.pipeline import PipelineConfig, stages
from fewview.recon.camera_source import parse_source
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, write_cameras
from fewview.recon.io.colmap import SparsePoints, read_model, write_model
from fewview.recon.io.transforms import write_transforms
from fewview.recon.scene import Camera, View
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.lens import from_ideal, to_ideal
from fewview.recon.sfm.scale import metres_per_unit, parse_length


def _elsewhere(views: list[View]) -> list[View]:
    """In another frame and unit: what is given fixes both."""
    R, moved = Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix(), []
    for view in views:
        T = np.eye(4)
        T[:3, :3] = R @ view.T_world_camera[:3, :3]
        T[:3, 3] = 7 * R @ view.center + [10, 20, 30]
        moved.append(View(view.name, view.camera, T))
    return moved


def _matched(folder: Path, views: list[View], points: np.ndarray) -> MatchedScene:
    made = MatchedScene(folder, views, points, noise_px=0.3, camera_group="phone")
    for a, b in combinations(range(len(views)), 2):
        made.match(a, b, true=160, wrong=25)
    return made


def test_given_poses_stay_and_missing_photos_are_added_in_their_frame(tmp_path: Path) -> None:
    views, points = scene(6, k1=-0.1)
    made, truth = _matched(tmp_path, views, points), _elsewhere(views)
    known = [view for i, view in enumerate(truth) if i not in (1, 4)]
    write_transforms(tmp_path / "known.json", [replace(view, name=f"images/{view.name}") for view in known])
    cameras, progress = made.run(source=f"known:{tmp_path / 'known.json'}")
    assert (cameras.prior, cameras.units) == ("known", "unknown")
    assert cameras.given == tuple(view.name for view in known)
    assert progress.facts["given_poses"] == 4
    assert [view.name for view in cameras.views] == [view.name for view in views]
    for view, true in zip(cameras.views, truth, strict=True):
        assert view.camera == true.camera  # also the added photos': they are of the same camera
        tolerance = 1e-12 if true in known else 2e-3
        np.testing.assert_allclose(view.T_world_camera[:3, :3], true.T_world_camera[:3, :3], atol=tolerance)
        np.testing.assert_allclose(view.center, true.center, atol=28 * tolerance)
    # Points lie where the distorted photos see them.
    exported, sparse = read_model(tmp_path / "cameras" / "sparse" / "0")
    for xyz, track in zip(sparse.xyz, sparse.tracks, strict=True):
        for index, xy in track:
            assert np.linalg.norm(project(exported[index], xyz[None])[0] - xy) < 4


def test_a_given_pose_that_the_matches_contradict_is_kept_and_said(tmp_path: Path) -> None:
    views, points = scene(4)
    made = _matched(tmp_path, views, points)
    wrong = replace(views[3], T_world_camera=views[3].T_world_camera @ _elsewhere(views)[0].T_world_camera)
    write_transforms(tmp_path / "known.json", [*views[:3], wrong])
    cameras, progress = made.run(source=f"known:{tmp_path / 'known.json'}")
    np.testing.assert_allclose(cameras.view("3.png").T_world_camera, wrong.T_world_camera, atol=1e-9)
    assert progress.facts["doubted_given"] == [[f"{i}.png", "3.png"] for i in range(3)]


@pytest.mark.parametrize("known_as", ["binary", "text", "cameras.json"])
def test_every_form_of_known_cameras_is_read(tmp_path: Path, known_as: str) -> None:
    views, points = scene(3)
    made, truth, path = _matched(tmp_path, views, points), _elsewhere(views), tmp_path / "given"
    nothing = SparsePoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), [])
    model = path if known_as == "cameras.json" else path / "sparse" / "0"
    model.mkdir(parents=True)
    if known_as == "cameras.json":
        write_cameras(model, CameraSet(truth, "metre", "a tape measure"))
    else:
        write_model(model, truth, nothing, known_as)  # type: ignore[arg-type]
    cameras, _ = made.run(source=f"known:{path}")
    assert cameras.units == ("metre" if known_as == "cameras.json" else "unknown")
    for view, true in zip(cameras.views, truth, strict=True):
        np.testing.assert_allclose(view.T_world_camera, true.T_world_camera, atol=1e-9)
    # What the stage reads enters its key.
    config = PipelineConfig(cameras=MappingConfig(source=f"known:{path}"))
    stage = next(stage for stage in stages(config, (tmp_path / "photos" / "images",)) if stage.name == "cameras")
    assert {file.parent for file in stage.sources} == {model}


def test_known_intrinsics_are_kept_and_a_photo_of_another_shape_is_said(tmp_path: Path) -> None:
    views, points = scene(4, k1=-0.15)
    made = _matched(tmp_path, views, points)
    wrong = replace(views[2], camera=replace(views[2].camera, width=500))
    write_transforms(tmp_path / "lens.json", [wrong if i == 2 else view for i, view in enumerate(views)])
    cameras, progress = made.run(intrinsics=str(tmp_path / "lens.json"))
    assert (cameras.prior, cameras.given) == ("matching", ())
    assert [view.camera for view in cameras.views] == [view.camera for view in views]
    assert max(pair_errors(cameras.views, views)) < 0.1
    assert progress.fallbacks[0]["reason"] == "Its given camera is 500x750, but the upright photo 1000x750."
    cameras, _ = made.run("by_number", intrinsics="900")
    assert [view.camera.fx for view in cameras.views] == [900] * 4


def test_a_known_length_makes_metres(tmp_path: Path) -> None:
    views, points = scene(5)
    made = _matched(tmp_path, views, points)
    length = float(np.linalg.norm(views[0].center - views[4].center))
    cameras, progress = made.run(scale=f"0.png:4.png={length}")
    assert (cameras.units, cameras.scale_source) == ("metre", f"given: 0.png:4.png={length}")
    assert progress.facts["units"] == "metre"
    got = np.linalg.norm(cameras.view("1.png").center - cameras.view("3.png").center)
    assert cameras.scale_interval is not None
    low, high = cameras.scale_interval
    assert 0.96 < low < np.linalg.norm(views[1].center - views[3].center) / got < high < 1.04
    assert got == pytest.approx(np.linalg.norm(views[1].center - views[3].center), rel=5e-3)


@given(st.integers(0, 50), st.sampled_from([(), (-0.2, 0.05, 0.001, -0.002)]))
def test_a_length_between_picked_points_is_exact(seed: int, distortion: tuple[float, ...]) -> None:
    views, points = scene(3)
    views = [replace(view, camera=replace(view.camera, fy=950.0, distortion=distortion)) for view in views]
    a, b = points[seed], points[seed + 100]

    def pick(point: np.ndarray) -> str:
        ends = []
        for view in views[1:]:
            ray = view.T_camera_world[:3, :3] @ point + view.T_camera_world[:3, 3]
            pinhole = to_pixels(ray[None] / ray[2], view.camera)[0]
            ends.append(f"{view.name}@{pinhole[0]:.9f},{pinhole[1]:.9f}")
        return "+".join(ends)

    metres = metres_per_unit(parse_length(f"{pick(a)}:{pick(b)}=2.5"), views)
    assert metres == pytest.approx(2.5 / np.linalg.norm(a - b), rel=1e-5)


LAWFUL = ("IMG+1.jpg", "me@home.jpg", "12:30.jpg", "a=b.jpg", "1,2.jpg", "a:b:c", "+@:=.png", "plain.jpg", "30.jpg")


@given(st.permutations(LAWFUL), st.floats(0.01, 100), st.tuples(*[st.floats(0, 999)] * 8))
def test_every_name_can_be_told(names: list[str], metres: float, at: tuple[float, ...]) -> None:
    """Both forms, of photos whose names hold what separates the parts."""
    views = [replace(view, name=name) for view, name in zip(scene(9)[0], names, strict=True)]
    a, b, c, d = names[:4]
    length = np.linalg.norm(views[0].center - views[1].center)
    assert metres_per_unit(parse_length(f"{a}:{b}={metres!r}"), views) == pytest.approx(metres / length)
    picks = [f"{name}@{x:.3f},{y:.3f}" for name, x, y in zip((a, b, c, d), at[::2], at[1::2], strict=True)]
    [(first, second)] = parse_length(f"{picks[0]}+{picks[1]}:{picks[2]}+{picks[3]}={metres!r}").readings
    told = [(name, f"{x:.3f}", f"{y:.3f}") for end in (first, second) for name, x, y in end.pixels]
    assert told == [(name, f"{x:.3f}", f"{y:.3f}") for name, x, y in zip((a, b, c, d), at[::2], at[1::2], strict=True)]
    [(first, _), *_] = parse_length(f"{picks[0]}+{picks[1]}:plain={metres!r}").readings
    assert [name for name, _, _ in first.pixels] == [a, b]


def test_names_that_can_be_read_in_two_ways_are_refused() -> None:
    views = [replace(view, name=name) for view, name in zip(scene(4)[0], ("a", "b:c", "a:b", "c"), strict=True)]
    with pytest.raises(InputError, match=r"can be read in 2 ways: a and b:c or a:b and c\. Rename photos with a colon"):
        metres_per_unit(parse_length("a:b:c=1"), views)


def to_pixels(rays: np.ndarray, camera: Camera) -> np.ndarray:
    focal = np.sqrt(camera.fx * camera.fy)
    return from_ideal(rays[:, :2] * focal + [camera.width / 2, camera.height / 2], camera)


@given(st.integers(0, 1000))
def test_an_ideal_pinhole_sees_the_same_rays(seed: int) -> None:
    random = np.random.default_rng(seed)
    distortion = (*random.uniform(-0.1, 0.1, 2), *random.uniform(-0.002, 0.002, 2))
    camera = Camera(1000, 700, 800, 820, 510, 340, tuple(map(float, distortion)))
    xy = random.uniform(0, [1000, 700], (20, 2))
    np.testing.assert_allclose(from_ideal(to_ideal(xy, camera), camera), xy, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "guess"}, "--cameras guess is no source of cameras. Choose from: known:PATH"),
        ({"source": "known"}, "--cameras known is no source of cameras."),
        ({"scale": "a.jpg=2"}, "--scale a.jpg=2 is no known length. Write A.jpg:B.jpg=METRES"),
        ({"scale": "a.jpg:b.jpg=-2"}, "--scale a.jpg:b.jpg=-2 is no known length."),
        ({"scale": "a.jpg@1,2:b.jpg=2"}, "--scale a.jpg@1,2:b.jpg=2 does not pick a point: a.jpg@1,2."),
        ({"scale": "a@1,2+b:c=2"}, "--scale a@1,2+b:c=2 does not pick a point: a@1,2+b."),
        ({"scale": "a@1.2.3,4+b@1,2:c=2"}, "--scale a@1.2.3,4+b@1,2:c=2 does not pick a point: a@1.2.3,4+b@1,2."),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        MappingConfig(**options)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There are no cameras at .*nowhere\. Check the path\."):
        parse_source(f"known:{tmp_path / 'nowhere'}").files()
    with pytest.raises(InputError, match="holds no cameras that fewview can read"):
        parse_source(f"known:{tmp_path}").files()
    views, points = scene(3)
    made = _matched(tmp_path, views, points)
    others = tmp_path / "others.json"
    write_transforms(others, [replace(view, name=f"other-{view.name}") for view in views])
    with pytest.raises(InputError, match=r"are of other photos: none is named like 0\.png"):
        made.run("others", source=f"known:{others}")
    names = [view.name for view in views]
    with pytest.raises(InputError, match=r"are of other photos: none is named like 0\.png"):
        MappingConfig(source=f"known:{others}").check(names)
    with pytest.raises(InputError, match=r"are of other photos"):
        MappingConfig(intrinsics=str(others)).check(names)
    MappingConfig(source=f"known:{others}").check(None)
    write_transforms(others, views[:1])
    with pytest.raises(InputError, match="fit 1 of the photos; 2 fix a frame and its scale"):
        made.run("one", source=f"known:{others}")
    with pytest.raises(InputError, match="fit 1 of the photos; 2 fix a frame and its scale"):
        MappingConfig(source=f"known:{others}").check(names)
    with pytest.raises(InputError, match=r"names 9\.png, which was not placed\. Use placed photos: 0\.png"):
        made.run("nine", scale="0.png:9.png=1")
    with pytest.raises(InputError, match="do not show one point"):
        made.run("picks", scale="0.png@10,10+1.png@740,990:1.png=1")
