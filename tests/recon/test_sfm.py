"""Mapping: exact derivatives, synthetic truth with noise and wrong matches, verdicts, errors."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sfm_scene import POINTS, MatchedScene, angle_deg, pair_errors, pose, scene

from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.io.colmap import read_model
from fewview.recon.scene import Camera, View
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.bundle import Bundle, Prior, _apply, _columns, adjust, focal_deviations, jacobians
from fewview.recon.sfm.frame import normalise


@pytest.mark.parametrize(("focal_px", "k1"), [(None, 0.0), (930.0, 0.0), (None, -0.08)])
def test_cameras_are_recovered_from_noisy_matches_with_wrong_ones(
    tmp_path: Path, focal_px: float | None, k1: float
) -> None:
    views, points = scene(6, k1=k1)
    source = "exif-35mm" if focal_px else None
    given = MatchedScene(
        tmp_path, views, points, noise_px=0.3, focal_px=focal_px, focal_source=source, camera_group="phone"
    )
    for a, b in combinations(range(6), 2):
        given.match(a, b, true=160, wrong=25)
    cameras, progress = given.run()
    rotation, direction = pair_errors(cameras.views, views)
    assert [view.name for view in cameras.views] == [view.name for view in views]
    assert rotation < 0.1
    assert direction < 0.1
    assert cameras.views[0].camera.fx == pytest.approx(900, rel=0.01)
    assert len({view.camera.fx for view in cameras.views}) == 1  # portrait and landscape share the lens
    assert [(v.camera.width, v.camera.height) for v in cameras.views] == [
        (v.camera.width, v.camera.height) for v in views
    ]
    if k1:
        assert cameras.views[0].camera.distortion[0] == pytest.approx(k1, abs=0.01)
    else:
        assert cameras.views[0].camera.distortion == ()
    assert all(verdict.registered and verdict.observations > 100 for verdict in cameras.verdicts)
    assert progress.facts["focal_source"] == {"phone": source or "estimated from the photos"}
    assert {model["start"].split(",")[0] for model in progress.facts["models"]} == {"incremental", "global"}
    assert all(model["held_out_agree"] > 0.7 * model["held_out"] > 50 for model in progress.facts["models"])
    # The exports agree with cameras.json, and the colours are those of the photos.
    exported, sparse = read_model(tmp_path / "cameras" / "sparse" / "0")
    np.testing.assert_allclose(exported[2].T_world_camera, cameras.views[2].T_world_camera, atol=1e-9)
    assert (sparse.rgb == [255, 128, 0]).all()
    assert np.median(sparse.error_px) < 0.6


def test_three_photos_suffice_and_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    views, points = scene(3)
    given = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    for a, b in combinations(range(3), 2):
        given.match(a, b, true=200, wrong=20)
    cameras, _ = given.run("first")
    given.run("second")
    assert max(pair_errors(cameras.views, views)) < 0.1
    files = [path.relative_to(tmp_path / "first") for path in sorted((tmp_path / "first").rglob("*.*"))]
    assert len(files) >= 5
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_photos_that_cannot_be_placed_are_left_out_with_the_reason(tmp_path: Path) -> None:
    views, points = scene(5)
    given = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    for a, b in combinations(range(5), 2):
        # Photo 3 matches nothing; photo 4 matches photo 0 only, and wrongly.
        given.match(a, b, true=0 if b >= 3 else 200, wrong=40 if (a, b) == (0, 4) else 0)
    given.photos.append(replace(given.photos[0], name="blurred.png", key="5", excluded="It is blurred."))
    cameras, _ = given.run()
    assert [view.name for view in cameras.views] == ["0.png", "1.png", "2.png"]
    assert max(pair_errors(cameras.views, views)) < 0.1
    assert [(v.name, v.registered, v.reason) for v in cameras.verdicts[3:]] == [
        ("3.png", False, "It shows nothing that another photo shows too."),
        (
            "4.png",
            False,
            "What it shares with the other photos contradicts every place that was tried: it was thrown out.",
        ),
        ("blurred.png", False, "It is blurred."),
    ]


def test_photos_without_overlap_say_what_to_photograph(tmp_path: Path) -> None:
    views, points = scene(3)
    given = MatchedScene(tmp_path, views, points, noise_px=0.2)
    for a, b in combinations(range(3), 2):
        given.match(a, b, true=0)
    with pytest.raises(ReconstructionError) as error:
        given.run("none")
    assert str(error.value) == (
        "No two of the photos show the same thing: 0.png, 1.png, 2.png. Take photos that share at least half "
        "of what they show with a neighbour, a step to the side each time."
    )
    given.pairs.clear()
    given.match(0, 1, true=0)
    given.match(0, 2, true=0, wrong=40)
    given.match(1, 2, true=0)
    with pytest.raises(ReconstructionError, match=r"The best two, 0\.png and 2\.png, share 40 points\."):
        given.run("few")


def test_turning_on_the_spot_is_recognised(tmp_path: Path) -> None:
    views, points = scene(1)
    turned = [
        replace(views[0], name=f"{i}.png", T_world_camera=views[0].T_world_camera @ _turn(i * 4)) for i in range(3)
    ]
    given = MatchedScene(tmp_path, turned, points, noise_px=0.2, camera_group="phone")
    for a, b in combinations(range(3), 2):
        given.match(a, b, true=200, model="panoramic")
    with pytest.raises(ReconstructionError, match="The photos were taken from one spot by turning") as error:
        given.run()
    assert error.value.remedy == "Take photos from different places, a step to the side each time."


def _turn(angle_deg: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("y", angle_deg, degrees=True).as_matrix()
    return T


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="Starting fields of view must be between 0 and 170 degrees"):
        MappingConfig(fields_of_view_deg=(60.0, 180.0))


def test_a_fisheye_is_mapped_as_one_and_written_for_other_programs(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    points = np.column_stack([random.uniform(-5, 5, (POINTS, 2)), random.uniform(2, 5, POINTS)])
    views = []
    for i in range(4):
        camera = Camera(1000, 750, 440.0, 440.0, 500.0, 375.0, (), True)
        views.append(View(f"{i}.png", camera, pose(np.array([0.6 * i, -0.2 * i % 0.5, 0.0]), np.array([0.9, 0, 4.0]))))
    made = MatchedScene(tmp_path, views, points, noise_px=0.5, camera_group="one")
    made.fisheyes = {"one": 0.5}
    for a, b in combinations(range(4), 2):
        made.match(a, b, true=200)
    cameras, progress = made.run()
    assert [view.name for view in cameras.views] == [view.name for view in views]
    rotation, direction = pair_errors(cameras.views, views)
    assert rotation < 0.1
    assert direction < 0.5
    for view in cameras.views:
        assert view.camera.fisheye
        assert view.camera.fx == pytest.approx(440, abs=3)
    (lens,) = cameras.lenses
    assert lens.views == tuple(view.name for view in views)
    assert lens.low_px < 440 < lens.high_px
    assert lens.width < 0.1
    assert progress.facts.get("uncertain_focals") is None
    assert progress.facts["focal_source"] == {"one": "estimated from the photos, as a fisheye"}
    colmap = pycolmap.Reconstruction(tmp_path / "cameras/sparse/0")
    assert {camera.model_name for camera in colmap.cameras.values()} == {"OPENCV_FISHEYE"}
    assert json.loads((tmp_path / "cameras/transforms.json").read_text())["camera_model"] == "OPENCV_FISHEYE"
    assert max(point.error for point in colmap.points3D.values()) < 4


def _bundle(seed: int) -> Bundle:
    """Exact observations of 30 points in 4 images, in two orientations, with distortion."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (30, 3))
    centers = random.uniform([-1, -1, -5], [1, 1, -4], (4, 3))
    T = np.array([np.linalg.inv(pose(center, np.zeros(3), 10)) for center in centers])
    image, point = np.tile(np.arange(4), 30), np.repeat(np.arange(30), 4)
    bundle = Bundle(
        R=T[:, :3, :3],
        t=T[:, :3, 3],
        log_focal=np.log([800.0, 500.0]),
        k1=np.array([0.1, -0.05]),
        fisheye=np.array([False, True]),
        principal=np.array([[400.0, 300.0], [300.0, 400.0], [256.0, 256.0]]),
        points=points,
        lens=np.array([0, 0, 1, 1]),
        sensor=np.array([0, 1, 2, 2]),
        image=image,
        point=point,
        xy=np.zeros((120, 2)),
        held=np.zeros(4, bool),
    )
    return replace(bundle, xy=bundle.residuals())


def test_derivatives_agree_with_finite_differences() -> None:
    bundle = _bundle(0)
    by_camera, by_point = jacobians(bundle)
    columns = _columns(bundle)
    parameters, step = columns.max() + 1, 1e-6
    for k in range(parameters):
        camera = np.zeros(parameters)
        camera[k] = step
        ahead = _apply(bundle, (camera, np.zeros((30, 3)))).residuals()
        behind = _apply(bundle, (-camera, np.zeros((30, 3)))).residuals()
        analytic = (by_camera * (columns == k)[:, None, :]).sum(axis=2)
        np.testing.assert_allclose(analytic, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-4)
    for k in range(3):
        point = np.zeros((30, 3))
        point[:, k] = step
        nothing = np.zeros(parameters)
        ahead, behind = (_apply(bundle, (nothing, sign * point)).residuals() for sign in (1, -1))
        np.testing.assert_allclose(by_point[:, :, k], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-4)


def test_deviations_of_focal_lengths_are_those_of_the_whole_problem() -> None:
    bundle, noise = _bundle(0), 0.5
    prior = Prior(
        log_focal=bundle.log_focal,
        log_focal_deviation=np.full(2, 0.5),
        k1_deviation=np.full(2, 0.03),
        principal=bundle.principal,
        principal_deviation=np.full(3, 1.0),
    )
    by_camera, by_point = jacobians(bundle)
    columns, cameras = _columns(bundle), 6 * 4 + 2 * 2 + 2 * 3
    J = np.zeros((240 + cameras - 24, cameras + 90))
    for n in range(120):
        J[2 * n : 2 * n + 2, columns[n]] = by_camera[n] / noise
        at = cameras + 3 * bundle.point[n]
        J[2 * n : 2 * n + 2, at : at + 3] = by_point[n] / noise
    J[240:, 24:cameras] = np.diag(1 / np.array([0.5, 0.5, 0.03, 0.03, *[1.0] * 6]))
    scale = 1 / np.linalg.norm(J, axis=0)
    covariance = np.linalg.pinv(J * scale, rcond=1e-9)
    expected = np.linalg.norm(covariance[24:26], axis=1) * scale[24:26]
    np.testing.assert_allclose(focal_deviations(bundle, prior, noise), expected, rtol=1e-3)


@given(st.integers(0, 20))
def test_adjustment_returns_to_exact_truth_in_spite_of_outliers(seed: int) -> None:
    truth = _bundle(seed)
    random = np.random.default_rng(seed + 100)
    prior = Prior(
        log_focal=truth.log_focal,
        log_focal_deviation=np.full(2, 0.05),
        k1_deviation=np.full(2, 0.1),
        principal=truth.principal,
        principal_deviation=np.full(3, 1.0),
    )
    outliers = random.permutation(120)[:6]
    xy = truth.xy + random.normal(0, 1e-4, truth.xy.shape)
    xy[outliers] += 30
    start = replace(
        truth,
        xy=xy,
        R=Rotation.from_rotvec(random.normal(0, 0.01, (4, 3))).as_matrix() @ truth.R,
        points=truth.points + random.normal(0, 0.02, (30, 3)),
        log_focal=truth.log_focal + 0.02,
    )
    found = adjust(start, prior)
    errors = np.linalg.norm(found.residuals(), axis=1)
    good = np.setdiff1d(np.arange(120), outliers)
    assert np.median(errors[good]) < 2e-3
    for a, b in combinations(range(4), 2):
        assert angle_deg((found.R[a] @ found.R[b].T).T @ (truth.R[a] @ truth.R[b].T)) < 0.01


@given(st.integers(0, 20))
def test_the_world_frame_is_upright_centred_and_of_unit_depth(seed: int) -> None:
    bundle = _bundle(seed)
    random = np.random.default_rng(seed)
    # Any similarity of the world gives the same frame.
    S = Rotation.random(random_state=seed).as_matrix()
    scale, shift = random.uniform(0.1, 10), random.normal(0, 5, 3)
    moved = replace(
        bundle,
        R=bundle.R @ S.T,
        t=scale * bundle.t - np.einsum("nij,j->ni", bundle.R @ S.T, shift),
        points=scale * bundle.points @ S.T + shift,
    )
    found, again = normalise(bundle), normalise(moved)
    np.testing.assert_allclose(found.R, again.R, atol=1e-9)
    np.testing.assert_allclose(found.points, again.points, atol=1e-9)
    centers = -np.einsum("nji,nj->ni", found.R, found.t)
    np.testing.assert_allclose(centers.mean(axis=0), 0, atol=1e-9)
    down = found.R[:, 1].mean(axis=0)
    np.testing.assert_allclose(down / np.linalg.norm(down), [0, 1, 0], atol=1e-9)
    assert np.median(found.in_camera()[:, 2]) == pytest.approx(1)
    np.testing.assert_allclose(found.residuals(), bundle.residuals(), atol=1e-8)
