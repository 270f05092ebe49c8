"""Figures of rigs: perfect estimates score perfectly, and known faults come out as what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_rig import ring, walker

from fewview.calibration import metrics
from fewview.calibration.evaluate import camera_figures, motion_figures
from fewview.calibration.world.misnamed import swapped_cameras
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet
from fewview.recon.scene import View
from fewview.recon.sfm.rig import refocused


def _moved(view: View, R: np.ndarray, scale: float, t: np.ndarray) -> View:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R @ view.T_world_camera[:3, :3], scale * R @ view.center + t
    return replace(view, T_world_camera=T)


def _figures(truth: list[View], estimate: list[View], units: str = "metre") -> dict:
    return camera_figures({view.name: view for view in truth}, CameraSet(estimate, units), len(truth))


R = Rotation.from_rotvec([0.3, -1.0, 0.4]).as_matrix()
SHIFT = np.array([1.0, 2.0, -3.0])


def test_a_perfect_rig_in_another_frame() -> None:
    truth = ring(6)
    figures = _figures(truth, [_moved(view, R, 1.0, SHIFT) for view in truth])
    zeros = ("s_te_m", "te_m", "rotation_deg", "rotation_compensated_deg", "focal_relative_error", "scale_error")
    assert max(abs(figures[name]) for name in zeros) < 1e-6
    assert [figures[name] for name in ("cameras", "calibrated", "rra10", "rta10", "cca10")] == [6, 6, 1, 1, 1]


def test_a_wrong_scale_is_no_error_of_shape() -> None:
    truth = ring(6)
    estimate = [_moved(view, R, 1.1, SHIFT) for view in truth]
    figures = _figures(truth, estimate)
    assert figures["s_te_m"] < 1e-9
    assert figures["scale_error"] == pytest.approx(0.1)
    # The centres lie within one plane on a circle of 3 m: each is off by a tenth of that.
    assert figures["te_m"] == pytest.approx(0.3)
    assert _figures(truth, estimate, "unknown")["te_m"] is None


def test_one_camera_turned_and_moved() -> None:
    truth = ring(6)
    T = truth[2].T_world_camera.copy()
    T[:3, :3] = T[:3, :3] @ Rotation.from_rotvec([0, np.radians(12), 0]).as_matrix()
    figures = _figures(truth, [*truth[:2], replace(truth[2], T_world_camera=T), *truth[3:]])
    assert 12 / 6 < figures["rotation_deg"] < 2 * 12 / 6
    assert figures["rra10"] == pytest.approx(20 / 30)
    assert figures["s_te_m"] < 1e-9
    T[:3, 3] += [0, 0, 1.0]
    figures = _figures(truth, [*truth[:2], replace(truth[2], T_world_camera=T), *truth[3:]])
    assert 0.2 < figures["s_te_m"] < 0.4
    assert figures["cca10"] == pytest.approx(5 / 6)


def test_cameras_that_were_not_placed_count_as_errors() -> None:
    truth = ring(4)
    figures = _figures(truth, truth[:3])
    assert (figures["calibrated"], figures["cca10"]) == (3, pytest.approx(3 / 4))
    assert figures["rra10"] == pytest.approx(6 / 12)
    with pytest.raises(InputError, match=r"1 of the true cameras were placed\. Two or more are needed"):
        _figures(truth, truth[:1])


def test_a_principal_point_that_is_off_is_compensated() -> None:
    truth = ring(4)
    estimate = []
    for k, view in enumerate(truth):
        cx = view.camera.cx + (20 if k % 2 else -20)
        turn = Rotation.from_rotvec([0, np.arctan((view.camera.cx - cx) / view.camera.fx), 0]).as_matrix()
        T = view.T_world_camera.copy()
        T[:3, :3] = T[:3, :3] @ turn.T
        estimate.append(replace(view, camera=replace(view.camera, cx=cx), T_world_camera=T))
    figures = _figures(truth, estimate)
    assert figures["rotation_deg"] > 2
    assert figures["rotation_compensated_deg"] < 1e-3


def test_focal_lengths_of_cropped_and_of_scaled_videos() -> None:
    truth = ring(2)
    cropped = [replace(view, camera=replace(view.camera, width=632, cx=view.camera.cx - 4)) for view in truth]
    assert metrics.focal_errors(truth, cropped).max() < 1e-12
    assert metrics.same_size(truth[0].camera, cropped[0].camera) == truth[0].camera
    halved = [replace(view, camera=view.camera.resized(320, 240)) for view in truth]
    assert metrics.focal_errors(truth, halved).max() < 1e-12
    longer = [
        replace(view, camera=refocused(view.camera, 1.05 * np.sqrt(view.camera.fx * view.camera.fy))) for view in truth
    ]
    assert metrics.focal_errors(truth, longer) == pytest.approx([0.05, 0.05])


def test_motion_figures() -> None:
    truth = np.concatenate([walker(8, 0), walker(8, 1) + np.array([2.0, 0, 0])], axis=1)
    swapped = truth[:, ::-1] @ R.T * 1.2 + SHIFT
    swapped[0, 0, :] = np.nan
    figures = motion_figures(truth, swapped)
    assert figures["similarity_mm"] < 1e-6
    assert figures["pa_mpjpe_mm"] < 1e-6
    assert figures["rigid_mm"] > 50
    assert figures["known"] == pytest.approx(15 / 16)
    noisy = truth + np.random.default_rng(0).normal(0, 0.01, truth.shape)
    # The mean length of a normal vector in space is 1.6 deviations.
    assert motion_figures(truth, noisy)["rigid_mm"] == pytest.approx(16, rel=0.1)


def test_swapped_cameras_are_found() -> None:
    truth = {view.name: view for view in ring(5)}
    found = {name: _moved(view, R, 1.3, SHIFT) for name, view in truth.items()}
    assert swapped_cameras(truth, found) is None
    names = list(found)
    mixed = dict(zip([names[0], names[3], names[2], names[1], names[4]], found.values(), strict=True))
    assert swapped_cameras(truth, mixed) == ("cam02", "cam04")
    turned = dict(zip([*names[1:], names[0]], found.values(), strict=True))
    assert swapped_cameras(truth, turned) is None, "a ring of equal steps, turned, is the same ring"
    assert swapped_cameras({name: truth[name] for name in names[:2]}, found) is None
