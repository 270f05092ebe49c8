"""Stages `pointmaps` and `cameras`: pre-computed pointmaps place photos, matches make the places exact."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from pointmap_scene import NETWORK, Disturbance, make_views, pair_arrays, shared_points, view_arrays
from scipy.spatial.transform import Rotation
from sfm_scene import POINTS, MatchedScene, pair_errors

from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.io.colmap import read_model
from fewview.recon.photos import save_photos
from fewview.recon.pointmaps import PointmapsConfig
from fewview.recon.pointmaps import run as run_pointmaps
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm import run as run_cameras

ROUGH = Disturbance(noise=0.04, bend=0.02, outliers=0.1)
"""Poses a degree off, depth four percent."""


def _scene(folder: Path, count: int, seed: int = 0) -> tuple[MatchedScene, list[View]]:
    views = make_views(count, seed)
    return MatchedScene(folder, views, shared_points(views, POINTS, seed), noise_px=0.3, camera_group="phone"), views


def _match_all(made: MatchedScene, photos: list[int], true: int = 120) -> None:
    for a, b in combinations(range(len(made.views)), 2):
        made.match(a, b, true=true if {a, b} <= set(photos) else 0, wrong=15 if {a, b} <= set(photos) else 0)


def _place(made: MatchedScene, path: Path, **options: str) -> tuple[CameraSet, LogProgress, LogProgress]:
    """Both stages, as the graph runs them."""
    save_photos(made.folder / "photos", made.photos)
    document = {"matcher": "aliked+lightglue", "pairs": made.pairs}
    (made.folder / "matches" / "pairs.json").write_text(json.dumps(document))
    inputs = {name: made.folder / name for name in ("photos", "matches", "pointmaps")}
    out = made.folder / f"cameras{len(list(made.folder.iterdir()))}"
    out.mkdir()
    inputs["pointmaps"].mkdir(exist_ok=True)
    first, second = LogProgress(), LogProgress()
    run_pointmaps(inputs, PointmapsConfig(f"pointmaps:{path}"), inputs["pointmaps"], first)
    run_cameras(inputs, MappingConfig(source=f"pointmaps:{path}", **options), out, second)
    return read_cameras(out), first, second


def test_pointmaps_know_nothing_of_what_is_masked(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 3)
    _match_all(made, list(range(3)))
    arrays = view_arrays(views, ROUGH, seed=0)
    width = made.photos[0].width
    columns = (np.arange(arrays["points"].shape[2]) + 0.5) / arrays["points"].shape[2]
    arrays["points"][0, :, columns < 0.3] *= 3.0  # somebody walks there
    np.savez(tmp_path / "maps.npz", **arrays)
    mask = np.full((30, 40), 255, np.uint8)
    mask[:, :12] = 0
    (tmp_path / "photos" / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "masks" / "0.png"), mask)
    made.photos[0] = replace(made.photos[0], mask="masks/0.png")
    _place(made, tmp_path / "maps.npz")
    with np.load(tmp_path / "pointmaps" / f"{made.photos[0].key}.npz") as file:
        masked = file["x"] < 0.3 * width
        assert 0 < masked.sum() < len(masked)
        assert np.isnan(file["depth"][:, masked]).all()
        assert (file["confidence"][:, masked] == 1).all()
        assert np.isfinite(file["depth"][:, ~masked]).mean() > 0.8


def test_matches_make_the_places_of_pointmaps_exact(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 6)
    _match_all(made, list(range(6)))
    np.savez(tmp_path / "maps.npz", **view_arrays(views, ROUGH, seed=0))
    found, _, progress = _place(made, tmp_path / "maps.npz")
    before = read_cameras(tmp_path / "pointmaps")
    assert [view.name for view in found.views] == [view.name for view in views]
    assert min(pair_errors(before.views, views)) > 0.5
    assert max(pair_errors(found.views, views)) < 0.15
    assert found.views[0].camera.fx == pytest.approx(560, rel=0.01)
    assert (found.prior, found.units) == ("pointmaps", "unknown")
    assert progress.facts["prior"] == "pointmaps"
    assert progress.facts["prior_reason"] == "`--cameras pointmaps` was asked for"
    assert progress.fallbacks == []


def test_photos_without_matches_get_points_of_their_maps(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 5, seed=1)
    _match_all(made, [0, 1, 2])
    arrays = view_arrays(views, Disturbance(noise=0.01), seed=1)
    np.savez(tmp_path / "maps.npz", **arrays)
    found, _, _ = _place(made, tmp_path / "maps.npz")
    assert [verdict.registered for verdict in found.verdicts] == [True] * 5
    assert all(verdict.observations >= 12 for verdict in found.verdicts)
    assert max(pair_errors(found.views[:3], views)) < 0.25
    assert pair_errors(found.views, views)[0] < pair_errors(read_cameras(tmp_path / "pointmaps").views, views)[0]
    _, sparse = read_model(next(tmp_path.glob("cameras*")) / "sparse" / "0")
    assert {index for track in sparse.tracks for index, _ in track} == set(range(5))


def test_no_matches_at_all(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 4)
    _match_all(made, [])
    np.savez(tmp_path / "maps.npz", **view_arrays(views, Disturbance(noise=0.005), seed=0), units="metre")
    found, _, _ = _place(made, tmp_path / "maps.npz")
    assert max(pair_errors(found.views, views)) < 1
    assert found.units == "metre"
    assert found.scale_source == "estimated by pointmaps, which may be wrong by a tenth"
    got = np.linalg.norm(found.views[0].center - found.views[3].center)
    assert got == pytest.approx(np.linalg.norm(views[0].center - views[3].center), rel=0.05)


def test_a_photo_that_its_pointmap_puts_elsewhere_is_placed_by_its_matches(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 5, seed=2)
    _match_all(made, list(range(5)))
    arrays = view_arrays(views, Disturbance(noise=0.01), seed=2)
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    turn[:3, 3] = [2, 0, 1]
    arrays["poses"][3] = turn @ arrays["poses"][3]
    arrays["points"][3] = arrays["points"][3] @ turn[:3, :3].T + turn[:3, 3]
    np.savez(tmp_path / "maps.npz", **arrays)
    found, _, progress = _place(made, tmp_path / "maps.npz")
    assert [fallback["wanted"] for fallback in progress.fallbacks] == ["the pose that the pointmap of photo3.jpg has"]
    assert len(found.views) == 5
    assert max(pair_errors(found.views, views)) < 0.15


def test_pointmaps_that_contradict_the_matches_are_not_used(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 4)
    _match_all(made, list(range(4)))
    arrays = view_arrays(views, Disturbance(noise=0.01), seed=0)
    for k, turn in enumerate(Rotation.from_euler("y", [[0], [80], [160], [240]], degrees=True).as_matrix()):
        arrays["points"][k] = arrays["points"][k] @ turn.T
        arrays["poses"][k, :3] = turn @ arrays["poses"][k, :3]
    np.savez(tmp_path / "maps.npz", **arrays)
    found, _, progress = _place(made, tmp_path / "maps.npz")
    assert (found.prior, progress.facts["prior"]) == ("matching", "matching")
    assert progress.facts["prior_reason"] == "what the photos share contradicts the poses of the pointmaps"
    assert progress.fallbacks[-1]["used"] == "matching"
    assert max(pair_errors(found.views, views)) < 0.15


def test_pairs_in_a_folder_are_aligned_and_refined(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 4)
    _match_all(made, list(range(4)))
    (tmp_path / "maps").mkdir()
    for i, j, *maps in pair_arrays(views, NETWORK, seed=0, wrong=((0, 3),)):
        names = ("points_first", "confidence_first", "points_second", "confidence_second")
        np.savez(
            tmp_path / "maps" / f"{i}-{j}.npz",
            photos=[views[i].name, views[j].name],
            pairs=[[0, 1]],
            **{name: array[None] for name, array in zip(names, maps, strict=True)},
        )
    found, first, _ = _place(made, tmp_path / "maps")
    assert first.facts["pairs_left_out"] == [["photo0.jpg", "photo3.jpg"]]
    assert max(pair_errors(read_cameras(tmp_path / "pointmaps").views, views)) < 0.5
    assert max(pair_errors(found.views, views)) < 0.15
    again, _, _ = _place(made, tmp_path / "maps")
    assert [view.T_world_camera.tolist() for view in again.views] == [v.T_world_camera.tolist() for v in found.views]


def test_given_intrinsics_stay(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 4)
    _match_all(made, list(range(4)))
    np.savez(tmp_path / "maps.npz", **view_arrays(views, ROUGH, seed=0))
    found, _, _ = _place(made, tmp_path / "maps.npz", intrinsics="561")
    assert {view.camera.fx for view in found.views} == {561}


def test_the_artifact_holds_depth_and_confidence(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 3)
    _match_all(made, [0, 1, 2])
    arrays = view_arrays(views, Disturbance(), seed=0)
    arrays["points"][1, :10] = np.nan
    np.savez(tmp_path / "maps.npz", **arrays)
    _place(made, tmp_path / "maps.npz")
    with np.load(tmp_path / "pointmaps" / "1.npz") as file:
        depth, confidence, x, y = (file[name] for name in ("depth", "confidence", "x", "y"))
    assert np.isnan(depth[y < 160]).all()
    assert (confidence[y < 160] == 1).all()
    row, column = -1, 0
    pixel = int(y[row] / 16), int(x[column] / 16)
    point = (arrays["points"][1][pixel] - views[1].center) @ views[1].T_world_camera[:3, :3]
    assert depth[row, column] == pytest.approx(point[2], rel=1e-4)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"photos": np.array(["a.jpg", "b.jpg", "c.jpg"])},
            InputError,
            "{path} is of other photos: it names a.jpg, but no photo photo0.jpg. "
            "Name the pointmaps after the photos' files.",
        ),
        (
            {"photos": np.array(["photo0.jpg", "b.jpg", "c.jpg"])},
            InputError,
            "The pointmaps in {path} are of 1 of the photos; 2 fix a frame and its scale. "
            "Name them after the photos' files, such as photo0.jpg.",
        ),
        (
            {"points": np.ones((3, 64, 48, 3)), "confidence": np.full((3, 64, 48), 2.0)},
            InputError,
            "{path}: the pointmap of photo0.jpg is 48x64, but the upright photo 640x480. "
            "Make pointmaps of the upright photos.",
        ),
        (
            {"points": -np.ones((3, 30, 40, 3)), "poses": np.tile(np.eye(4), (3, 1, 1))},
            InputError,
            "{path}, photo photo0.jpg: no confident point lies in front of the camera. "
            "Give points in the world and camera-to-world poses, OpenCV axes.",
        ),
    ],
)
def test_pointmaps_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], kind: type[Exception], message: str
) -> None:
    made, views = _scene(tmp_path, 3)
    path = tmp_path / "maps.npz"
    np.savez(path, **(view_arrays(views, Disturbance(), seed=0) | change))
    with pytest.raises(kind) as error:
        _place(made, path)
    assert str(error.value) == message.format(path=path)


def test_pairs_that_tie_nothing_are_said(tmp_path: Path) -> None:
    made, views = _scene(tmp_path, 3)
    maps = {(i, j): rest for i, j, *rest in pair_arrays(views, Disturbance(), seed=0)}
    a, sure_a, b, sure_b = maps[0, 1]
    pair = {"points_first": a, "confidence_first": sure_a, "points_second": b, "confidence_second": sure_b}
    arrays = {name: array[None] for name, array in pair.items()}
    np.savez(tmp_path / "maps.npz", photos=["photo0.jpg", "photo1.jpg"], pairs=[[0, 1]], **arrays)
    with pytest.raises(ReconstructionError) as error:
        _place(made, tmp_path / "maps.npz")
    assert str(error.value) == (
        "The pairwise pointmaps do not fit together: photo1.jpg is the first of no pair. "
        "Give more pairs: they must tie all photos together, and each must be the first of one at least."
    )
    small = {name: array[None, ::2, ::2] if name.endswith("second") else array[None] for name, array in pair.items()}
    both = {name: np.concatenate([array, array]) for name, array in small.items()}
    names = ["photo0.jpg", "photo1.jpg", "photo2.jpg"]
    np.savez(tmp_path / "maps.npz", photos=names, pairs=[[0, 1], [1, 2]], **both)
    with pytest.raises(InputError) as refused:
        _place(made, tmp_path / "maps.npz")
    assert str(refused.value) == "The pairwise pointmaps of photo1.jpg differ in size. Make them all of one size."
    (tmp_path / "twice").mkdir()
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / "twice" / name, photos=names[:2], pairs=[[0, 1]], **arrays)
    with pytest.raises(InputError) as refused:
        _place(made, tmp_path / "twice")
    assert (
        str(refused.value)
        == f"{tmp_path / 'twice' / 'b.npz'} holds what another file holds too. Leave one of the two out."
    )
