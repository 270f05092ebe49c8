"""Global alignment of pairwise pointmaps: known truth under noise, outliers and wrong pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pointmap_scene import CALM, NETWORK, SIZE, Disturbance, disturbed, exact_points, make_pairs, make_views
from scipy.spatial.transform import Rotation
from sfm_scene import pair_errors

from fewview.recon.geometry.fit import fit_sim3_robustly
from fewview.recon.geometry.pose import Sim3
from fewview.recon.pointmaps.alignment import align_pairs
from fewview.recon.pointmaps.maps import PlacedMap, estimate_focal, make_pointmap, place_map
from fewview.recon.pointmaps.pairs import PointmapPair
from fewview.recon.pointmaps.refinement import Alignment, _View, depth_of, refine_alignment
from fewview.recon.scene import View


def _errors(placed: list[PlacedMap], views: list[View]) -> tuple[float, float, float]:
    """Mean rotation and direction error (degrees), greatest relative error of a focal length."""
    found = [replace(view, T_world_camera=one.T_world_camera) for view, one in zip(views, placed, strict=True)]
    focal = max(abs(one.focal_px / view.camera.fx - 1) for view, one in zip(views, placed, strict=True))
    return *pair_errors(found, views), focal


def _align(pairs: list[PointmapPair], views: list[View]) -> tuple[list[PlacedMap], list[tuple[int, int]]]:
    return align_pairs(pairs, [view.name for view in views])


def test_exact_pairs_give_exact_cameras_and_depth() -> None:
    views = make_views(4, seed=0, spread_px=40)
    placed, left_out = _align(make_pairs(views, CALM, seed=0), views)
    assert max(_errors(placed, views)) < 1e-4
    assert left_out == []
    # One scale holds for the depth of all.
    ratios = []
    for view, one in zip(views, placed, strict=True):
        z = (exact_points(view) - view.center) @ view.T_world_camera[:3, 2]
        ratios.append(one.depth / make_pointmap(np.repeat(z[..., None], 3, axis=2), z * 0 + 2, SIZE).points[..., 0])
    assert np.ptp(ratios) < 1e-4 * np.mean(ratios)


@pytest.mark.parametrize(("count", "seed"), [(6, 0), (6, 1), (12, 3)])
def test_cameras_under_noise_and_outliers(count: int, seed: int) -> None:
    views = make_views(count, seed, spread_px=30)
    pairs = make_pairs(views, NETWORK, seed)
    placed, left_out = _align([pair for pair in pairs if abs(pair.i - pair.j) <= 3], views)
    rotation, direction, focal = _errors(placed, views)
    assert rotation < 0.1
    assert direction < 0.2
    assert focal < 0.005
    assert left_out == []


@pytest.mark.parametrize("wrong", [((0, 1),), ((2, 3), (3, 2))])
def test_wrong_pairs_take_no_part(wrong: tuple[tuple[int, int], ...]) -> None:
    views = make_views(5, seed=5, spread_px=30)
    placed, left_out = _align(make_pairs(views, NETWORK, 5, wrong), views)
    assert tuple(left_out) == wrong
    assert max(_errors(placed, views)) < 0.2


def test_pairs_that_do_not_hang_together_are_said() -> None:
    views = make_views(4, seed=0)
    pairs = make_pairs(views, CALM, seed=0)
    with pytest.raises(ValueError, match=r"no pair ties photo\d\.jpg to the others"):
        _align([pair for pair in pairs if (pair.i < 2) == (pair.j < 2)], views)
    with pytest.raises(ValueError, match=r"photo3\.jpg is the first of no pair"):
        _align([pair for pair in pairs if pair.i != 3], views)


def test_the_objective_falls_to_a_minimum_and_not_by_shrinking() -> None:
    """Moved from the result by a little, any way, the objective of the specification is greater."""
    views = make_views(3, seed=1)
    pairs = make_pairs(views, Disturbance(noise=0.01), seed=1)
    start = Alignment(
        np.array([view.T_world_camera for view in views]), np.full(3, 560.0), [_world(views, pair) for pair in pairs]
    )
    found = refine_alignment(start, pairs)

    def cost(alignment: Alignment) -> float:
        """With the depths that suit it best, among the multiples of those that were found."""
        total = 0.0
        for view in range(3):
            one = _View(found, pairs, view)
            total += min((one.weights * one.distances(alignment, one.depths * s)).sum() for s in (0.998, 1, 1.002))
        return total

    least = cost(found)
    assert np.isclose(sum(np.log(fit.scale) for fit in found.fits), sum(np.log(fit.scale) for fit in start.fits))
    random = np.random.default_rng(0)
    for _ in range(20):
        Ts = found.Ts_world_camera.copy()
        k = random.integers(3)
        Ts[k, :3, :3] = Ts[k, :3, :3] @ Rotation.from_rotvec(random.normal(0, 0.003, 3)).as_matrix()
        Ts[k, :3, 3] += random.normal(0, 0.01, 3)
        assert cost(replace(found, Ts_world_camera=Ts)) > least
    assert cost(replace(found, focals=found.focals * 1.005)) > least


def _world(views: list[View], pair: PointmapPair) -> Sim3:
    T = views[pair.i].T_world_camera
    true = (exact_points(views[pair.i]) - T[:3, 3]) @ T[:3, :3]
    scale = np.median(make_pointmap(true, true[..., 2] * 0 + 2, SIZE).points[..., 2] / pair.map_i.points[..., 2])
    return Sim3(float(scale), T[:3, :3], T[:3, 3])


@given(st.integers(0, 200), st.floats(300, 1500), st.floats(0, 0.3))
def test_focal_lengths_in_spite_of_outliers(seed: int, focal: float, outliers: float) -> None:
    random = np.random.default_rng(seed)
    u, v = np.meshgrid(np.arange(40) + 0.5 - 20, np.arange(30) + 0.5 - 15)
    z = random.uniform(1, 4, (30, 40))
    points = np.stack([16 * u / focal * z, 16 * v / focal * z, z], axis=-1)
    wild = random.random((30, 40)) < outliers
    points[wild] = random.normal(0, 2, (int(wild.sum()), 3))
    assert estimate_focal(make_pointmap(points, np.full((30, 40), 3.0), SIZE)) == pytest.approx(focal, rel=0.01)


@given(st.integers(0, 200))
def test_similarities_in_spite_of_outliers(seed: int) -> None:
    random = np.random.default_rng(seed)
    true = Sim3(float(random.uniform(0.1, 10)), Rotation.random(random_state=seed).as_matrix(), random.normal(0, 5, 3))
    source = random.normal(0, 1, (200, 3))
    target = true(source)
    target[:60] += random.normal(0, 3 * true.scale, (60, 3))
    found = fit_sim3_robustly(source, target, random.uniform(0.5, 2, 200))
    np.testing.assert_allclose(found(source[60:]), true(source[60:]), atol=1e-2 * true.scale)
    there_and_back = (true.inverse() @ true)(source)
    np.testing.assert_allclose(there_and_back, source, atol=1e-9)


def test_a_map_covers_the_largest_centred_window() -> None:
    """A square map of a photo of 640x480 leaves 80 px out on either side."""
    pointmap = make_pointmap(np.ones((48, 48, 3)), np.full((48, 48), 2.0), (640, 480))
    step = pointmap.x[1] - pointmap.x[0]
    assert pointmap.x[0] - step / 2 == pytest.approx(-240, abs=10)
    assert pointmap.x[0] == pytest.approx(-pointmap.x[-1], abs=10)
    assert (pointmap.x == pointmap.y).all()


def test_a_pose_that_is_not_that_of_its_points_is_said() -> None:
    view = make_views(3, seed=0)[0]
    points, confidence = disturbed(exact_points(view), CALM, np.random.default_rng(0))
    pointmap = make_pointmap(points, confidence, SIZE)
    assert place_map(pointmap, view.T_world_camera).focal_px == pytest.approx(view.camera.fx, rel=1e-4)
    with pytest.raises(ValueError, match="so its pose is not that of its map"):
        place_map(pointmap, view.T_camera_world)


def test_depth_is_the_median_of_the_pairs() -> None:
    views = make_views(4, seed=0)
    pairs = make_pairs(views, CALM, seed=0, wrong=((0, 1),))
    start = Alignment(
        np.array([view.T_world_camera for view in views]), np.full(4, 560.0), [_world(views, pair) for pair in pairs]
    )
    z = (exact_points(views[1]) - views[1].center) @ views[1].T_world_camera[:3, 2]
    exact = make_pointmap(np.repeat(z[..., None], 3, axis=2), z * 0 + 2, SIZE).points[..., 0]
    np.testing.assert_allclose(depth_of(start, pairs, 1)[0], exact, rtol=1e-3)
