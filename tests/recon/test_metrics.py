"""The metrics on perfect estimates (0, 1, infinity) and on estimates whose error is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from skimage.metrics import structural_similarity

from fewview.apps.benchmarks.lpips import Lpips
from fewview.recon import metrics
from fewview.recon.geometry.fit import fit_sim3
from fewview.recon.io.weights import fetch, is_cached
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera


def _poses(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    Ts = np.tile(np.eye(4), (count, 1, 1))
    Ts[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
    Ts[:, :3, 3] = rng.uniform(-3, 3, (count, 3))
    return Ts


def _moved(Ts: np.ndarray, scale: float, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The same cameras in a world that was scaled, turned and shifted."""
    out = Ts.copy()
    out[:, :3, :3] = R @ Ts[:, :3, :3]
    out[:, :3, 3] = scale * Ts[:, :3, 3] @ R.T + t
    return out


def test_perfect_cameras_score_zero() -> None:
    Ts = _poses(5)
    errors = metrics.pair_errors(Ts, Ts.copy())
    assert len(errors.rotation_deg) == 20
    assert errors.rotation_deg.max() == 0
    assert errors.translation_deg.max() == 0
    assert metrics.trajectory_error(Ts, Ts.copy()) < 1e-15
    camera = Camera(640, 480, 500, 510, 320, 240)
    assert metrics.focal_error([camera], [camera.resized(1280, 960)]) < 1e-15


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 8), scale=st.floats(1e-3, 1e3))
def test_the_world_frame_and_the_scale_do_not_matter(seed: int, count: int, scale: float) -> None:
    Ts = _poses(count, seed)
    R = Rotation.random(random_state=seed + 1).as_matrix()
    moved = _moved(Ts, scale, R, np.array([1.0, -20, 3]))
    errors = metrics.pair_errors(Ts, moved)
    assert errors.rotation_deg.max() < 1e-6
    assert errors.translation_deg.max() < 1e-6
    if count > 2:
        assert metrics.trajectory_error(Ts, moved) < 1e-9


@pytest.mark.parametrize("degrees", [1e-6, 2.0, 90.0, 180.0])
def test_one_turned_camera(degrees: float) -> None:
    Ts = _poses(4)
    turned = Ts.copy()
    turned[2, :3, :3] = Ts[2, :3, :3] @ Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    errors = metrics.pair_errors(Ts, turned).rotation_deg
    # 6 of the 12 ordered pairs have the turned camera in them.
    assert np.sort(errors) == pytest.approx([0] * 6 + [degrees] * 6, rel=1e-6, abs=1e-12)
    assert metrics.trajectory_error(Ts, turned) < 1e-15, "centres are where they were"


def test_direction_error_knows_the_sign_and_the_camera_that_looks() -> None:
    Ts = np.tile(np.eye(4), (2, 1, 1))
    Ts[1, :3, 3] = [1, 0, 0]
    swapped = Ts.copy()
    swapped[1, :3, 3] = [-1, 0, 0]
    assert metrics.pair_errors(Ts, swapped).translation_deg == pytest.approx([180, 180])
    aside = Ts.copy()
    aside[1, :3, 3] = [math.cos(math.radians(3)), math.sin(math.radians(3)), 0]
    assert metrics.pair_errors(Ts, aside).translation_deg == pytest.approx([3, 3])
    turned = Ts.copy()
    turned[1, :3, :3] = Rotation.from_euler("z", 5, degrees=True).as_matrix()
    assert metrics.pair_errors(Ts, turned).translation_deg == pytest.approx([0, 5])


def test_coincident_centres() -> None:
    Ts = _poses(3)
    Ts[1, :3, 3] = Ts[0, :3, 3]
    estimate = _poses(3, seed=0)
    found = metrics.pair_errors(Ts, estimate).translation_deg
    assert np.isnan(found).sum() == 2, "no true direction, nothing to compare"
    assert np.sort(metrics.pair_errors(estimate, Ts).translation_deg)[-2:] == pytest.approx([180, 180])


def test_trajectory_error_is_the_procrustes_distance() -> None:
    """Two unit-norm trajectories are compared; scipy's disparity is the same but for the scale of the
    second."""
    Ts = np.tile(np.eye(4), (4, 1, 1))
    Ts[:, :3, 3] = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    bent = Ts.copy()
    bent[:2, 2, 3], bent[2:, 2, 3] = 0.1, -0.1
    # The best similarity shrinks by s = 1 / 1.01 (4 of |a|^2 = 4.04); what is left is known in closed form.
    s = 4 / 4.04
    expected = math.sqrt((1 - s) ** 2 + (0.1 * s) ** 2) / 2
    assert metrics.trajectory_size(Ts) == pytest.approx(2)
    assert metrics.trajectory_error(Ts, bent) == pytest.approx(expected, rel=1e-12)


def test_mirrored_cameras_are_wrong() -> None:
    Ts = _poses(6)
    mirrored = Ts.copy()
    mirrored[:, 0, 3] *= -1
    assert metrics.trajectory_error(Ts, mirrored) > 0.05
    fit = fit_sim3(mirrored[:, :3, 3], Ts[:, :3, 3])
    assert np.linalg.det(fit.R) == pytest.approx(1)
    assert fit.scale > 0


def test_two_cameras_have_no_trajectory_error() -> None:
    assert math.isnan(metrics.trajectory_error(_poses(2), _poses(2, 7)))
    same = np.tile(np.eye(4), (3, 1, 1))
    assert math.isnan(metrics.trajectory_error(same, _poses(3)))


def test_lists_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="two equal lists"):
        metrics.pair_errors(_poses(3), _poses(2))


def test_focal_error_compares_at_one_size() -> None:
    truth = [Camera(640, 480, 500, 500, 320, 240), Camera(640, 480, 400, 400, 320, 240)]
    found = [Camera(1280, 960, 1100, 1100, 640, 480), Camera(640, 480, 400, 400, 320, 240)]
    assert metrics.focal_error(truth, found) == pytest.approx(0.05)


def _image(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(cv2.GaussianBlur(rng.uniform(0, 1, (64, 96, 3)), (0, 0), 2) * 3 - 1, 0, 1).astype(np.float32)


def test_perfect_image() -> None:
    image = _image()
    assert metrics.psnr(image, image) == math.inf
    assert metrics.ssim(image, image) == 1


def test_psnr_of_a_known_error() -> None:
    image = np.full((8, 8, 3), 0.5, np.float32)
    worse = image.copy()
    worse[:4] += 0.1
    assert metrics.psnr(image, image + np.float32(0.1)) == pytest.approx(20, abs=1e-5)
    assert metrics.psnr(image, worse) == pytest.approx(20 + 10 * math.log10(2), abs=1e-5)
    upper = np.zeros((8, 8), bool)
    upper[:4] = True
    assert metrics.psnr(image, worse, upper) == pytest.approx(20, abs=1e-5)
    assert metrics.psnr(image, worse, ~upper) == math.inf


def test_ssim_is_that_of_scikit_image() -> None:
    a, b = _image(0), 0.7 * _image(0) + 0.3 * _image(1)
    reference = structural_similarity(
        a.astype(np.float64),
        b.astype(np.float64),
        channel_axis=2,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(a, b) == pytest.approx(reference, abs=1e-9)


def test_ssim_leaves_out_windows_that_touch_the_mask() -> None:
    a, b = _image(), _image()
    b[:20] = 0
    mask = np.ones(a.shape[:2], bool)
    mask[:20] = False
    assert metrics.ssim(a, b) < 0.9
    assert metrics.ssim(a, b, mask) == 1
    assert math.isnan(metrics.ssim(a, b, np.zeros_like(mask)))


def test_depth_errors() -> None:
    truth = np.full((10, 10), 2.0)
    truth[0] = np.nan
    perfect = metrics.depth_errors(truth, truth)
    assert (perfect.covered, perfect.within_2_percent, perfect.within_3_percent, perfect.abs_rel) == (
        1,
        1,
        1,
        0,
    )
    found = truth.copy()
    found[1:4] *= 1.025
    found[4] = np.nan
    errors = metrics.depth_errors(truth, found)
    assert errors.covered == pytest.approx(8 / 9)
    assert errors.within_2_percent == pytest.approx(5 / 9)
    assert errors.within_3_percent == pytest.approx(8 / 9)
    assert errors.abs_rel == pytest.approx(0.025 * 3 / 8)
    with pytest.raises(ValueError, match="unknown everywhere"):
        metrics.depth_errors(np.full((2, 2), np.nan), np.ones((2, 2)))


@pytest.fixture(scope="module")
def lpips() -> Lpips:
    return Lpips(fetch("lpips-vgg16", LogProgress()))


class TestLpips:
    def test_zero_for_equal_images_and_symmetric(self, lpips: Lpips) -> None:
        a, b = _image(0), _image(1)
        assert lpips(a, a) == 0
        assert lpips(a, b) == lpips(b, a) > 0.1
        assert is_cached("lpips-vgg16")

    def test_more_blur_is_further_away(self, lpips: Lpips) -> None:
        a = _image()
        found = [lpips(a, cv2.GaussianBlur(a, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
        assert found == sorted(found)
        assert found[0] < 0.1 < found[-1]

    def test_the_backbone_is_vgg16_for_rgb(self, lpips: Lpips) -> None:
        """A change of blue is nearer than the same change of green, as to the eye."""
        a = np.full((64, 64, 3), 0.5, np.float32)
        a[16:48, 16:48] = 0.7
        changed = [a.copy() for _ in range(3)]
        for channel, image in enumerate(changed):
            image[:, 32:, channel] += 0.2
        distances = [lpips(a, image) for image in changed]
        assert distances[2] < distances[1]

    def test_sizes_are_checked(self, lpips: Lpips) -> None:
        with pytest.raises(ValueError, match="cannot compare"):
            lpips(_image(), _image()[1:])
        with pytest.raises(ValueError, match="too small"):
            lpips(_image()[:8], _image()[:8])
