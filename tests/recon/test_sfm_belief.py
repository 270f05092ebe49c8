"""The probability of places: exact where it can be said by hand, and the same by few cuts as by all."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sfm_scene import project, scene

from fewview.recon.sfm import belief
from fewview.recon.sfm.belief import Weights, believe, weakest_between
from fewview.recon.sfm.bundle import Bundle, Prior, adjust, pose_deviations

WEIGHTS = Weights(prior=0.5, scale=1.5, agreeing=2.0)


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_of_two_photos_both_places_are_as_sure_as_their_tie() -> None:
    found = believe([3, 8], {(3, 8): 4.0}, {}, WEIGHTS)
    # Nothing but the tie holds the poses, so that it agrees tells nothing.
    expected = _sigmoid(4.0)
    np.testing.assert_allclose(found.probability, expected)
    assert found.whole == pytest.approx(expected)
    assert found.misplaced == [3, 8]


def test_a_photo_beside_a_firm_core_is_as_sure_as_its_own_ties() -> None:
    core = {ends: 30.0 for ends in combinations(range(4), 2)}
    one = believe(range(5), core | {(0, 4): 5.0}, {(1, 4): 3.0}, WEIGHTS, lens_penalty=2.0)
    true = _sigmoid(3.0)
    assert one.probability[4] == pytest.approx(_sigmoid(5.0 - 2.0 + np.log(1 - true / 2)), abs=1e-6)
    assert one.probability[:4].min() > 0.999999
    assert one.misplaced == [4]


def test_doubtful_ties_that_agree_with_one_place_are_strong_together() -> None:
    core = {ends: 8.0 for ends in combinations(range(5), 2)}
    alone, together = (
        believe(range(6), core | {(k, 5): -1.0 for k in range(count)}, {}, WEIGHTS).probability[5] for count in (1, 4)
    )
    assert alone < 0.3 < 0.9 < together


def test_a_group_that_one_false_tie_holds_is_misplaced_as_a_whole() -> None:
    """Twin facades: each is certain of itself, and one doubtful tie joins them."""
    ties = {ends: 6.0 for ends in [*combinations(range(4), 2), *combinations(range(4, 7), 2)]}
    found = believe(range(7), ties | {(3, 4): -3.0}, {}, WEIGHTS)
    assert found.misplaced == [4, 5, 6]
    assert found.probability[4:].max() < 0.05
    assert found.probability[:4].min() > 0.95
    assert weakest_between(range(7), ties | {(3, 4): -3.0}, (5, 0), WEIGHTS) == [4, 5, 6]


def test_few_cuts_say_what_all_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of photos, each tied to the next two, with a false tie or two."""
    random = np.random.default_rng(0)
    for _ in range(10):
        agree = {(a, a + step): random.uniform(-2, 5) for step in (1, 2) for a in range(9 - step)}
        monkeypatch.setattr(belief, "ALL_CUTS", 9)
        every = believe(range(9), agree, {}, WEIGHTS).probability
        monkeypatch.setattr(belief, "ALL_CUTS", 1)
        few = believe(range(9), agree, {}, WEIGHTS).probability
        assert np.abs(few - every).max() < 0.2


def test_deviations_of_poses_are_what_noise_makes_of_them() -> None:
    views, points = scene(3)
    points = points[:60]
    random = np.random.default_rng(0)
    exact = np.array([project(view, points) for view in views])
    truth = Bundle(
        R=np.array([view.T_camera_world[:3, :3] for view in views]),
        t=np.array([view.T_camera_world[:3, 3] for view in views]),
        log_focal=np.log([900.0]),
        k1=np.zeros(1),
        fisheye=np.zeros(1, bool),
        principal=np.array([[view.camera.cx, view.camera.cy] for view in views]),
        points=points,
        lens=np.zeros(3, int),
        sensor=np.arange(3),
        image=np.tile(np.arange(3), len(points)),
        point=np.repeat(np.arange(len(points)), 3),
        xy=exact.transpose(1, 0, 2).reshape(-1, 2),
        held=np.zeros(3, bool),
    )
    prior = Prior(np.log([900.0]), np.array([0.5]), np.array([1e-9]), truth.principal, np.full(3, 1e-9))
    turned, aside = [], []
    for _ in range(40):
        found = adjust(replace(truth, xy=truth.xy + random.normal(0, 0.5, truth.xy.shape)), prior)
        relative = [bundle.R[1] @ bundle.R[0].T for bundle in (truth, found)]
        turned.append(np.linalg.norm(Rotation.from_matrix(relative[1] @ relative[0].T).as_rotvec()))
        steps = [bundle.t[0] - bundle.R[0] @ bundle.R[1].T @ bundle.t[1] for bundle in (truth, found)]
        a, b = (step / np.linalg.norm(step) for step in steps)
        aside.append(np.linalg.norm(a - b))
    rotation, direction = pose_deviations(truth, prior, 0.5)
    assert rotation[0, 1] == pytest.approx(np.sqrt(np.mean(np.square(turned))), rel=0.3)
    assert direction[0, 1] == pytest.approx(np.sqrt(np.mean(np.square(aside))), rel=0.3)
