"""Rays and pixels, motions and their fits, what hangs together: round trips and exact truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.camera import Camera
from fewview.recon.geometry.fit import fit_rigid, fit_sim3, nearest_rotation, reweighted
from fewview.recon.geometry.graph import components
from fewview.recon.geometry.least_squares import GemanMcClure, Groups, NormalEquations, damped_step, levenberg_marquardt
from fewview.recon.geometry.pose import Sim3, invert_rigid, rigid, skew, transform

PINHOLE = Camera(64, 48, 50.0, 52.0, 31.0, 25.0)
BENT = Camera(64, 48, 50.0, 52.0, 31.0, 25.0, (-0.2, 0.05, 0.002, -0.001))


@pytest.mark.parametrize("camera", [PINHOLE, BENT], ids=["pinhole", "bent"])
def test_every_pixel_is_where_its_ray_is_seen(camera: Camera) -> None:
    rays = camera.rays()
    centres = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5), -1)
    assert (rays[..., 2] == 1).all()
    np.testing.assert_allclose(camera.project(3.0 * rays), centres, atol=1e-6)
    np.testing.assert_allclose(camera.rays_at(centres), rays, atol=1e-12)
    assert camera.rays(np.float32).dtype == np.float32


def test_a_ray_and_a_pixel_by_hand() -> None:
    np.testing.assert_allclose(PINHOLE.rays()[2, 5], [(5.5 - 31) / 50, (2.5 - 25) / 52, 1])
    np.testing.assert_allclose(PINHOLE.project(np.array([1.0, -2.0, 4.0])), [50 / 4 + 31, -2 * 52 / 4 + 25])


@pytest.mark.parametrize("camera", [PINHOLE, BENT], ids=["pinhole", "bent"])
def test_what_is_behind_the_camera_has_no_pixel(camera: Camera) -> None:
    assert np.isnan(camera.project(np.array([[0.1, 0.1, -1.0], [0.0, 0.0, 0.0]]))).all()


def test_what_a_polynomial_folds_back_into_the_photo_has_no_pixel() -> None:
    """k1 = -.2 turns back at a slope of about 1.3: a point at 2.2 would land inside the photo."""
    folding = Camera(640, 480, 300.0, 300.0, 320.0, 240.0, (-0.2, 0.0, 0.0, 0.0))
    assert np.isfinite(folding.project(np.array([0.5, 0.0, 1.0]))).all()
    assert np.isnan(folding.project(np.array([2.2, 0.0, 1.0]))).all()


def _sim3(seed: int) -> Sim3:
    random = np.random.default_rng(seed)
    return Sim3(float(random.uniform(0.1, 10)), Rotation.random(random_state=seed).as_matrix(), random.normal(0, 5, 3))


@given(st.integers(0, 200), st.integers(201, 400))
def test_motions_compose_and_invert(first: int, second: int) -> None:
    a, b, points = _sim3(first), _sim3(second), np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose((b @ a)(points), b(a(points)), atol=1e-9)
    np.testing.assert_allclose((a.inverse() @ a)(points), points, atol=1e-9)
    T = rigid(a.R, a.t)
    np.testing.assert_allclose(transform(invert_rigid(T), transform(T, points)), points, atol=1e-9)
    np.testing.assert_allclose(skew(points) @ b.t, np.cross(points, b.t), atol=1e-9)


@given(st.integers(0, 200))
def test_fits_find_the_motion_and_heed_the_weights(seed: int) -> None:
    true, random = _sim3(seed), np.random.default_rng(seed)
    source = random.normal(size=(12, 3))
    target = true(source)
    target[7:] += random.normal(size=(5, 3)) * true.scale
    found = fit_sim3(source, target, np.where(np.arange(12) < 7, 1.0, 0.0))
    np.testing.assert_allclose(found(source[:7]), target[:7], atol=1e-9 * (1 + true.scale))
    turned = source @ true.R.T + true.t
    np.testing.assert_allclose(fit_rigid(source, turned)(source), turned, atol=1e-9)


def test_mirrored_points_are_turned_at_best() -> None:
    mirrored = np.random.default_rng(1).normal(size=(9, 3))
    source = mirrored * [-1, 1, 1]
    fit = fit_sim3(source, mirrored)
    assert np.linalg.det(fit.R) == pytest.approx(1)
    nearby = [Rotation.from_rotvec(v).as_matrix() for v in np.random.default_rng(2).normal(0, 0.1, (50, 3))]
    moment = mirrored.T @ source
    best = nearest_rotation(moment)
    assert all(np.trace(best.T @ moment) >= np.trace((best @ turn).T @ moment) for turn in nearby)


def test_reweighting_ends_at_the_median() -> None:
    """Weights of 1 / distance make the mean the point of least distance (Weiszfeld)."""
    values = np.array([1.0, 2.0, 3.0, 50.0, 900.0])
    found = reweighted(
        lambda w: float((w * values).sum() / w.sum()),
        lambda x: 1 / np.maximum(np.abs(values - x), 1e-9),
        values * 0 + 1,
        60,
    )
    assert found == pytest.approx(3, abs=1e-3)


def test_components() -> None:
    label = components(6, np.array([[0, 3], [3, 5], [1, 2]]))
    assert label[0] == label[3] == label[5] != label[1]
    assert label[1] == label[2]
    assert len(set(label.tolist())) == 3
    assert len(set(components(3, np.zeros((0, 2), int)).tolist())) == 3


def test_an_eliminated_step_is_that_of_the_whole_system() -> None:
    random = np.random.default_rng(3)
    J = random.normal(size=(60, 4 + 5 * 2))
    for k in range(5):  # rows of one group touch that group and the kept unknowns only
        J[12 * k : 12 * (k + 1), [i for i in range(4, 14) if (i - 4) // 2 != k]] = 0
    r = random.normal(size=60)
    H, g = J.T @ J, J.T @ r
    own = [slice(4 + 2 * k, 6 + 2 * k) for k in range(5)]
    groups = Groups(
        np.arange(4), np.stack([H[s, s] for s in own]), np.stack([H[s, :4] for s in own]), np.stack([g[s] for s in own])
    )
    kept, (apart,) = damped_step(NormalEquations(H[:4, :4], g[:4], [groups]), 0.3)
    whole = np.linalg.solve(H + 0.3 * np.diag(H.diagonal()), -g)
    np.testing.assert_allclose(np.concatenate([kept, apart.ravel()]), whole, rtol=1e-6)


class _Decay:
    """a exp(-b x) seen with one wild value: unknowns (a, b), nothing to eliminate."""

    def __init__(self) -> None:
        self.x, self.kernel = np.linspace(0, 3, 30), GemanMcClure(0.1)
        self.y = 2.0 * np.exp(-1.3 * self.x)
        self.y[11] += 5

    def cost(self, state: np.ndarray) -> float:
        return float(self.kernel.cost((state[0] * np.exp(-state[1] * self.x) - self.y) ** 2).sum())

    def normal_equations(self, state: np.ndarray) -> NormalEquations:
        decay = np.exp(-state[1] * self.x)
        J, r = np.stack([decay, -state[0] * self.x * decay], 1), state[0] * decay - self.y
        weighted = J * self.kernel.weight(r**2)[:, None]
        return NormalEquations(weighted.T @ J, weighted.T @ r)

    def moved(self, state: np.ndarray, kept: np.ndarray, eliminated: list[np.ndarray]) -> np.ndarray:
        return state + kept


def test_descent_ends_at_the_truth_in_spite_of_a_wild_value() -> None:
    found = levenberg_marquardt(_Decay(), np.array([1.9, 1.1]), 50, 1e-12)
    np.testing.assert_allclose(found, [2.0, 1.3], atol=1e-3)


def test_a_kernel_is_the_slope_of_its_cost() -> None:
    kernel, r2 = GemanMcClure(1.7), np.linspace(0, 30, 9)
    slope = (kernel.cost(r2 + 1e-6) - kernel.cost(np.maximum(r2 - 1e-6, 0))) / np.where(r2 > 0, 2e-6, 1e-6)
    np.testing.assert_allclose(kernel.weight(r2) / 2, slope, rtol=1e-4)
