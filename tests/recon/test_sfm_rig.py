"""Cameras calibrated from people are made exact by matches, and keep their scale."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sfm_scene import MatchedScene, pair_errors, scene

from fewview.recon.errors import ReconstructionError
from fewview.recon.io.cameras import CameraSet, read_cameras, write_cameras
from fewview.recon.photos import save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera, View
from fewview.recon.sfm import MappingConfig, run
from fewview.recon.sfm.bundle import Bundle, PosePrior
from fewview.recon.sfm.rig import refocused


def _calibrated(views: list[View], seed: int) -> list[View]:
    """As from people: a degree and some percent off, and named by the camera alone."""
    rng = np.random.default_rng(seed)
    out = []
    for view in views:
        T = view.T_world_camera.copy()
        T[:3, :3] = T[:3, :3] @ Rotation.from_rotvec(rng.normal(0, np.radians(0.6), 3)).as_matrix()
        T[:3, 3] += rng.normal(0, 0.06, 3)
        focal = view.camera.fx * np.exp(rng.normal(0, 0.03))
        out.append(View(view.name.removesuffix(".png"), replace(view.camera, fx=focal, fy=focal), T))
    return out


def _place(made: MatchedScene, rig: list[View], out: str = "cameras") -> tuple[CameraSet, LogProgress]:
    save_photos(made.folder / "photos", made.photos)
    document = {"matcher": "aliked+lightglue", "pairs": made.pairs}
    (made.folder / "matches" / "pairs.json").write_text(json.dumps(document))
    (made.folder / "motion").mkdir()
    write_cameras(made.folder / "motion", CameraSet(rig, "metre", "height 1.80 m", "keypoints"))
    (made.folder / out).mkdir()
    progress = LogProgress()
    inputs = {name: made.folder / name for name in ("photos", "matches", "motion")}
    run(inputs, MappingConfig(source="keypoints"), made.folder / out, progress)
    return read_cameras(made.folder / out), progress


def test_matches_make_the_rig_exact_and_it_keeps_its_scale(tmp_path: Path) -> None:
    views, points = scene(5)
    rig = _calibrated(views, seed=0)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3)
    for a, b in combinations(range(len(views)), 2):
        made.match(a, b, true=120, wrong=20)
    found, progress = _place(made, rig)
    assert (found.prior, found.units, found.scale_source) == ("keypoints", "metre", "height 1.80 m")
    assert [view.name for view in found.views] == [view.name for view in views]
    before = [replace(view, name=f"{view.name}.png") for view in rig]
    assert pair_errors(before, views)[0] > 0.8
    assert pair_errors(found.views, views)[0] < 0.1
    centers, truth = (np.array([view.center for view in each]) for each in (found.views, views))
    size, true_size = (np.linalg.norm(each - each.mean(0)) for each in (centers, truth))
    assert size / true_size == pytest.approx(1, abs=0.05)
    assert progress.facts["reprojection_px"] < 0.6
    assert all(verdict.observations > 100 for verdict in found.verdicts)


def test_a_camera_that_shares_nothing_stays_where_people_put_it(tmp_path: Path) -> None:
    views, points = scene(4)
    rig = _calibrated(views, seed=1)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3)
    for a, b in combinations(range(3), 2):
        made.match(a, b, true=120)
    found, _ = _place(made, rig)
    assert np.allclose(found.views[3].T_world_camera, rig[3].T_world_camera, atol=1e-6)
    assert [verdict.observations > 0 for verdict in found.verdicts] == [True, True, True, False]


def test_photos_that_share_nothing_at_all_are_said(tmp_path: Path) -> None:
    views, points = scene(3)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3)
    for a, b in combinations(range(3), 2):
        made.match(a, b, true=0)
    with pytest.raises(ReconstructionError):
        _place(made, _calibrated(views, seed=1))


def test_pose_prior_derivatives() -> None:
    rng = np.random.default_rng(0)
    R = Rotation.from_rotvec(rng.normal(0, 1, (3, 3))).as_matrix()
    turn = Rotation.from_rotvec(rng.normal(0, 1e-4, (3, 3))).as_matrix()
    t = rng.normal(0, 1, (3, 3))
    empty = np.zeros(0, int)
    bundle = Bundle(
        turn @ R, t, np.zeros(1), np.zeros(1), np.zeros(1, bool), np.zeros((1, 2)), np.zeros((0, 3)), np.zeros(3, int),
        np.zeros(3, int), empty, empty, np.zeros((0, 2)), np.zeros(3, bool),
    )  # fmt: skip
    prior = PosePrior(R, rng.normal(0, 1, (3, 3)), np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    residual, derivative = prior.terms(bundle)
    step = 1e-6
    for k in range(6):
        move = step * np.eye(6)[k]
        moved = replace(bundle, R=Rotation.from_rotvec(move[:3]).as_matrix() @ bundle.R, t=bundle.t + move[3:])
        assert np.allclose((prior.terms(moved)[0] - residual) / step, derivative[:, :, k], atol=1e-2)


def test_a_refocused_lens_bends_as_before() -> None:
    camera = Camera(640, 480, 500, 510, 318, 243, (-0.2, 0.05, 1e-3, -2e-3, 0.01))
    longer = refocused(camera, 1.1 * np.sqrt(500 * 510))
    plane = np.random.default_rng(0).uniform(-1, 1, (50, 3)) * [0.6, 0.4, 0] + [0, 0, 1.0]
    a, b = (
        cv2.projectPoints(points, np.zeros(3), np.zeros(3), each.matrix, np.array(each.distortion))[0]
        for points, each in ((plane, camera), (plane * [1, 1, 1.1], longer))
    )
    assert np.allclose(a, b, atol=1e-9)
