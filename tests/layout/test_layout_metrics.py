"""Perfect, shifted and missing planes score what the published definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewview.layout import metrics
from tests.layout.prisms import CAMERA, L_SHAPE, RECTANGLE, pose, room, see

TRUTH = room(L_SHAPE).planes()


def test_perfect_planes_score_one_whatever_their_order_and_sign() -> None:
    rng = np.random.default_rng(0)
    estimate = (TRUTH * rng.choice([-1, 1], (len(TRUTH), 1)))[rng.permutation(len(TRUTH))]
    for distance, angle in metrics.THRESHOLDS:
        score = metrics.match_planes(TRUTH, estimate, distance, angle)
        assert score.precision == score.recall == 1


def test_shifted_and_turned_planes_fail_exactly_at_the_thresholds() -> None:
    for shift, right in ((0.149, 1), (0.151, 0)):
        moved = TRUTH + np.array([0, 0, 0, shift])
        assert metrics.match_planes(TRUTH[:1], moved[:1], 0.15, 10).right == right
    for turn, right in ((9.9, 1), (10.1, 0)):
        R = Rotation.from_euler("x", turn, degrees=True).as_matrix()
        turned = np.concatenate([TRUTH[:, :3] @ R.T, TRUTH[:, 3:]], 1)
        assert metrics.match_planes(TRUTH[:1], turned[:1], 0.15, 10).right == right


def test_missing_and_double_planes() -> None:
    missing = metrics.match_planes(TRUTH, TRUTH[:6], 0.15, 10)
    assert (missing.precision, missing.recall) == (1, 6 / 8)
    double = metrics.match_planes(TRUTH, np.concatenate([TRUTH, TRUTH[:2]]), 0.15, 10)
    assert (double.precision, double.recall) == (8 / 10, 1), "a true plane is used once"
    nothing = metrics.match_planes(TRUTH, np.zeros((0, 4)), 0.15, 10)
    assert (nothing.precision, nothing.recall) == (0, 0)


def test_the_best_pairs_are_matched_first() -> None:
    truth = np.array([[1.0, 0, 0, 0.0], [1.0, 0, 0, 0.2]])
    estimate = np.array([[1.0, 0, 0, 0.1], [1.0, 0, 0, 0.0]])
    assert metrics.match_planes(truth, estimate, 0.15, 10).right == 2


def test_openings_match_one_to_one_by_their_overlap() -> None:
    door = np.array([[1, 0, 0], [2, 0, 0], [2, 0, 2], [1, 0, 2.0]])
    window = door + np.array([2, 0, 0.8])
    truth = np.stack([door, window])
    perfect = metrics.match_openings(truth, truth[::-1])
    assert (perfect.right, perfect.precision, perfect.recall) == (2, 1, 1)
    for shift, right in ((0.3, 1), (0.35, 0)):  # IoU .54 and .48
        assert metrics.match_openings(truth, door[None] + np.array([shift, 0, 0])).right == right
    assert metrics.match_openings(truth, door[None] + np.array([0, 0.31, 0])).right == 0, "on another wall"
    assert metrics.match_openings(truth, np.stack([door, door])).precision == 0.5, "a true one is used once"
    nothing = metrics.match_openings(truth, np.zeros((0, 4, 3)))
    assert (nothing.precision, nothing.recall) == (0, 0)


def test_labels() -> None:
    labels, depth = see(room(RECTANGLE), CAMERA, pose(1, 1, 40))
    renamed = np.array([5, 3, 9, 2, 7, 8])[labels]
    perfect = metrics.compare_labels(labels, renamed)
    assert (perfect.iou, perfect.pixel_error, perfect.edge_error) == (1, 0, 0)
    # The upper wall taken for the lower one: one plane of four is missing.
    names, counts = np.unique(labels, return_counts=True)
    merged = np.where(labels == names[1], names[0], labels)
    score = metrics.compare_labels(labels, merged)
    assert 0 < score.iou < 1
    assert score.pixel_error == pytest.approx(min(counts[:2]) / labels.size, abs=0.1)
    nothing = metrics.compare_labels(labels, np.full(labels.shape, -1))
    assert (nothing.iou, nothing.pixel_error) == (0, 1)
    assert nothing.edge_error > 1
    assert metrics.depth_rmse(depth, depth + 0.2) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="holes"):
        metrics.depth_rmse(depth, np.where(labels == names[0], np.nan, depth))


def test_edge_error_is_the_distance_of_parallel_edges() -> None:
    truth, moved = np.zeros((2, 600, 80), int)
    truth[:, 40:], moved[:, 45:] = 1, 1
    assert metrics.edge_distance(truth, moved) == pytest.approx(5, abs=0.1)


def test_floor_iou() -> None:
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2.0]])
    assert metrics.floor_iou(square, square[::-1]) == pytest.approx(1)
    assert metrics.floor_iou(square, square + np.array([1, 0])) == pytest.approx(1 / 3)


def test_unregistered_cameras_count_as_wrong() -> None:
    poses = np.stack([pose(x, 1, 90 - 10 * x) for x in range(4)])
    every = metrics.camera_accuracy(poses, poses, np.ones(4, bool))
    assert every == {"rra15": 1, "rta15": 1, "maa30": 1}
    some = metrics.camera_accuracy(poses, poses, np.array([True, True, True, False]))
    assert some["rra15"] == 6 / 12
    turned = poses.copy()
    turned[3, :3, :3] = turned[3, :3, :3] @ Rotation.from_euler("y", 20, degrees=True).as_matrix()
    wrong = metrics.camera_accuracy(poses, turned, np.ones(4, bool))
    assert wrong["rra15"] == 6 / 12
    assert 1 / 2 < wrong["maa30"] < 1
    assert metrics.camera_accuracy(poses, poses, np.zeros(4, bool))["maa30"] == 0
