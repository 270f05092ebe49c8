"""Pose parameters against scipy and float64 autograd; camera paths against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.splatting import paths
from fewview.splatting.cameras import PoseParameters, moved_poses, so3_exp

vectors = st.lists(st.floats(-4, 4), min_size=3, max_size=3).map(np.array)
tiny = st.floats(1e-12, 1e-3)


def some_poses(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    Ts = np.tile(np.eye(4), (count, 1, 1))
    Ts[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    Ts[:, :3, 3] = rng.normal(size=(count, 3))
    return Ts


@given(vectors, tiny)
@settings(deadline=None, max_examples=60)
def test_exponential_is_the_rotation_at_any_angle(omega: np.ndarray, scale: float) -> None:
    for vector in (omega, omega * scale):
        expected = Rotation.from_rotvec(vector).as_matrix()
        np.testing.assert_allclose(so3_exp(torch.tensor(vector)).numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(so3_exp(torch.tensor(vector).float()).numpy(), expected, atol=2e-6)


@given(vectors)
@settings(deadline=None, max_examples=30)
def test_opposite_increments_undo_each_other(omega: np.ndarray) -> None:
    turn, back = so3_exp(torch.tensor(omega)), so3_exp(torch.tensor(-omega))
    torch.testing.assert_close(turn @ back, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(back, turn.T, atol=1e-12, rtol=0)


def test_increment_turns_about_the_centre_and_moves_it_along_the_cameras_axes() -> None:
    T = torch.tensor(np.linalg.inv(some_poses(1))[0])
    turned = moved_poses(T, torch.tensor([0.1, -0.2, 0.3, 0, 0, 0], dtype=torch.float64))
    moved = moved_poses(T, torch.tensor([0, 0, 0, 0.5, 0.0, -1.0], dtype=torch.float64))
    start, turned, moved = (torch.linalg.inv(M).numpy() for M in (T, turned, moved))
    np.testing.assert_allclose(turned[:3, 3], start[:3, 3], atol=1e-12)
    np.testing.assert_allclose(moved[:3, :3], start[:3, :3], atol=1e-12)
    np.testing.assert_allclose(moved[:3, 3] - start[:3, 3], start[:3, :3] @ [0.5, 0, -1.0], atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9, 0.4])
def test_gradient_agrees_with_finite_differences_also_at_zero(size: float) -> None:
    T = torch.tensor(np.linalg.inv(some_poses(1, seed=3))[0])
    increment = torch.tensor([1.0, -2, 0.5, 3, 0, -1], dtype=torch.float64) * size
    assert torch.autograd.gradcheck(lambda x: moved_poses(T, x), increment.requires_grad_(), eps=1e-5, atol=1e-6)


def test_held_views_stay_bitwise_and_the_others_follow_the_optimiser() -> None:
    start = np.linalg.inv(some_poses(3))
    poses = PoseParameters(start, length=2.0, held=(0,))
    assert len(poses.parameters) == 2
    with torch.no_grad():
        for parameter in poses.parameters:
            parameter += torch.tensor([0.0, 0.0, 0.0, 0.1, 0.0, 0.0])
    out = poses.poses()
    assert np.array_equal(out[0], start[0])
    before, after = np.linalg.inv(start[1]), np.linalg.inv(out[1])
    np.testing.assert_allclose(after[:3, 3] - before[:3, 3], 0.2 * before[:3, 0], atol=1e-6)
    np.testing.assert_allclose(poses.view_matrix(1).detach().numpy(), out[1], atol=1e-6)


def ring(count: int, degrees: float) -> np.ndarray:
    """Cameras on an arc of radius 2 about the origin that look at it."""
    angles = np.radians(np.linspace(0, degrees, count, endpoint=degrees < 360))
    centers = 2 * np.stack([np.sin(angles), np.full(count, -0.2), -np.cos(angles)], -1)
    return np.stack([paths.looking_at(c, np.zeros(3), np.array([0.0, -1, 0])) for c in centers])


@pytest.mark.parametrize(("count", "degrees"), [(1, 0.0), (3, 40.0), (6, 150.0), (8, 360.0)])
def test_interpolated_path_passes_the_views_smoothly_and_loops(count: int, degrees: float) -> None:
    views = ring(count, degrees)[np.random.default_rng(1).permutation(count)]
    path = paths.interpolated(views, np.full(count, 2.0), 240)
    assert path.shape == (240, 4, 4)
    np.testing.assert_allclose(
        path[:, :3, :3] @ path[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (240, 1, 1)), atol=1e-9
    )
    for view in views:
        assert np.linalg.norm(path[:, :3, 3] - view[:3, 3], axis=1).min() < 0.05
    hops = np.linalg.norm(np.diff(path[:, :3, 3], axis=0, append=path[:1, :3, 3]), axis=1)
    assert hops.max() < 0.15
    # The arc bulges; chords between its views, and nothing wilder, is what a path may do.
    assert np.linalg.norm(path[:, :3, 3], axis=1).max() < 2.1


def test_orbit_is_a_circle_about_a_surrounded_subject() -> None:
    path = paths.orbit(ring(8, 360.0), np.full(8, 2.0), 60)
    towards = -path[:, :3, 3] / np.linalg.norm(path[:, :3, 3], axis=1, keepdims=True)
    assert (np.einsum("fi,fi->f", path[:, :3, 2], towards) > 0.99).all()
    assert path[:, 0, 3].min() < -1.9
    assert path[:, 0, 3].max() > 1.9


def test_spiral_about_a_surrounded_subject_climbs_and_comes_down_again() -> None:
    path = paths.spiral(ring(8, 360.0), np.full(8, 2.0), 240)
    centers = path[:, :3, 3]
    level = np.hypot(centers[:, 0], centers[:, 2])
    np.testing.assert_allclose(level, level[0], rtol=1e-6)
    assert np.ptp(centers[:, 1]) > 0.2 * level[0]
    assert centers[:, 1].argmin() == pytest.approx(120, abs=2), "y points down: the highest place is half way"
    turns = np.unwrap(np.arctan2(centers[:, 0], centers[:, 2]))
    assert abs(turns[-1] - turns[0]) == pytest.approx(4 * np.pi, rel=0.02)
    assert_smooth_loop(path)


@pytest.mark.parametrize(("count", "degrees"), [(1, 0.0), (3, 40.0)])
def test_spiral_before_a_scene_moves_in_all_directions_and_looks_at_its_middle(count: int, degrees: float) -> None:
    views = ring(count, degrees)
    path = paths.spiral(views, np.full(count, 2.0), 240)
    central = views[count // 2]
    moves = (path[:, :3, 3] - central[:3, 3]) @ central[:3, :3]
    assert (np.ptp(moves, axis=0) > 0.05).all()
    assert (np.abs(moves) < 0.5).all()
    middle = central[:3, 3] + 2.0 * central[:3, 2]
    towards = middle - path[:, :3, 3]
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    np.testing.assert_allclose((towards * path[:, :3, 2]).sum(1), 1, atol=1e-9)
    assert_smooth_loop(path)


def assert_smooth_loop(path: np.ndarray) -> None:
    """No jump, from the last frame to the first neither."""
    steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0, append=path[:1, :3, 3]), axis=1)
    assert steps.max() < 3 * np.median(steps)


@pytest.mark.parametrize(("count", "degrees"), [(1, 0.0), (2, 10.0), (5, 60.0)])
def test_orbit_of_forward_facing_photos_stays_near_them(count: int, degrees: float) -> None:
    views = ring(count, degrees)
    path = paths.orbit(views, np.full(count, 2.0), 60)
    central = path[:, :3, 3].mean(0)
    reach = np.linalg.norm(path[:, :3, 3] - central, axis=1)
    assert 0.01 < reach.max() < 0.45
    assert np.linalg.norm(views[:, :3, 3] - central, axis=1).min() < 0.05
    steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0, append=path[:1, :3, 3]), axis=1)
    assert steps.max() < 3 * steps.mean()


def test_focus_of_parallel_views_is_where_the_depth_says() -> None:
    views = np.tile(np.eye(4), (3, 1, 1))
    views[:, 0, 3] = [-0.1, 0, 0.1]
    np.testing.assert_allclose(paths.focus_point(views, np.full(3, 5.0)), [0, 0, 5], atol=1e-9)
