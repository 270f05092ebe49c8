"""Whole calibrations of synthetic captures with exact truth, and what is said where that cannot work."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from fewview.calibration.calibrate import calibrate, calibrate_rig, calibrate_takes
from fewview.calibration.config import CalibrationConfig
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import JOINTS
from fewview.data.people import CaptureConfig, Walker, capture, ring
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.geometry.fit import fit_sim3
from fewview.recon.progress import LogProgress
from tests.calibration.captures import HEIGHT_M, compare, record, walkers

CONFIG = CalibrationConfig(height_m=HEIGHT_M)
SHORT = CaptureConfig(duration_s=12.0)


def test_one_walker_nothing_known() -> None:
    views, truth = record(4, 1, 0, SHORT)
    rig, motion = calibrate(truth.detections, CONFIG, LogProgress())
    errors = compare(rig, views, truth)
    assert rig.unplaced == {}
    assert rig.facts["degeneracies"] == {}
    assert errors.s_te_m < 0.015
    assert errors.rotation_deg < 0.15
    assert errors.offset_s < 0.5 / 30
    assert abs(errors.scale) < 0.02
    # The motion is the walker's, in metres, on the floor, y down.
    T = len(motion.xyz)
    true = walkers(1, 0)[0].joints(motion.start_s + np.arange(T) / motion.fps)
    found = motion.xyz[:, 0]
    known = np.isfinite(found).all(axis=-1)
    assert known.mean() > 0.95
    assert not (motion.xyz == 0).all(axis=-1).any()
    fit = fit_sim3(found[known], true[known])
    distance = np.linalg.norm(fit(found[known]) - true[known], axis=1)
    assert np.median(distance) < 0.01
    assert abs(fit.scale - 1) < 0.02
    assert fit.R[1, 1] > np.cos(np.radians(3))
    assert abs(fit.t[1]) < 0.06
    assert (motion.support[:, 0][known] >= 2).all()
    assert np.median(motion.score[:, 0][known]) > 0.3


def test_three_walkers_with_swaps_wild_joints_and_mixed_frame_rates() -> None:
    config = replace(SHORT, fps=(30.0, 25.0, 60.0, 50.0), swaps=0.1, wild=0.02, drift_ppm=20)
    views, truth = record(4, 3, 1, config)
    rig, motion = calibrate(truth.detections, CONFIG, LogProgress())
    errors = compare(rig, views, truth)
    assert errors.s_te_m < 0.01
    assert errors.offset_s < 0.5 / 30
    assert rig.facts["people"] == [3]
    assert int(rig.facts["left_right_swaps"]) > 10  # type: ignore[call-overload]
    # Every person keeps a column of its own.
    true = np.stack([w.joints(motion.start_s + np.arange(len(motion.xyz)) / motion.fps) for w in walkers(3, 1)], axis=1)
    fits = []
    for order in permutations(range(3)):
        a, b = motion.xyz[:, :3], true[:, order]
        known = np.isfinite(a).all(axis=-1)
        fits.append(np.linalg.norm(fit_sim3(a[known], b[known])(a[known]) - b[known], axis=1))
    best = min(fits, key=np.median)
    assert known.mean() > 0.8
    assert np.median(best) < 0.01
    assert np.percentile(best, 95) < 0.06


def test_known_lenses_poses_and_offsets_are_kept() -> None:
    views, truth = record(4, 1, 2, SHORT)
    known = {views[0].name: views[0], views[1].name: views[1], views[2].name: views[2].camera}
    offsets = {name: truth.offsets_s[name] for name in ("cam01", "cam03")}
    config = CalibrationConfig(offsets_s=(offsets,))
    rig, _ = calibrate_rig([truth.detections], config, LogProgress(), known)
    for i in range(2):
        np.testing.assert_allclose(rig.views[i].T_world_camera, views[i].T_world_camera, atol=1e-9)
    for i in range(3):
        assert rig.views[i].camera.fx == pytest.approx(views[i].camera.fx, rel=1e-12)
        assert rig.views[i].camera.distortion == views[i].camera.distortion
    assert {name: rig.offsets_s[name] for name in offsets} == pytest.approx(offsets, abs=1e-12)
    # The world and its scale are those of the known cameras, so the other two need no alignment.
    for i in (2, 3):
        assert np.linalg.norm(rig.views[i].center - views[i].center) < 0.02
    assert rig.units == "metre"


def test_takes_pool_what_each_has() -> None:
    views = ring(3, 5)
    takes = [capture(views, walkers(1, 5 + n), replace(SHORT, duration_s=8.0), n) for n in range(2)]
    rig, motions = calibrate_takes([t.detections for t in takes], CONFIG, LogProgress())
    assert compare(rig, views, takes[0]).s_te_m < 0.02
    assert len(motions) == 2
    found = rig.facts["offsets_s"]
    assert isinstance(found, list)
    for offsets, take in zip(found, takes, strict=True):
        for name, value in take.offsets_s.items():
            assert offsets[name] == pytest.approx(value, abs=0.5 / 30)


def test_same_input_same_result() -> None:
    _, truth = record(3, 1, 7, replace(SHORT, duration_s=6.0))
    a, b = (calibrate(truth.detections, CONFIG, LogProgress()) for _ in range(2))
    assert all((x.T_world_camera == y.T_world_camera).all() for x, y in zip(a[0].views, b[0].views, strict=True))
    assert a[1].xyz.tobytes() == b[1].xyz.tobytes()


def test_a_camera_of_another_recording_is_left_out_and_said() -> None:
    views, truth = record(5, 1, 3, SHORT)
    other = capture(views, [Walker(1.6, 999)], SHORT, 9)
    mixed = [*truth.detections[:4], other.detections[4]]
    rig, motion = calibrate(mixed, CONFIG, LogProgress())
    assert list(rig.unplaced) == ["cam05"]
    assert len(rig.views) == 4
    assert compare(rig, views, truth).s_te_m < 0.015
    assert np.isfinite(motion.xyz).any()


def test_two_cameras_and_still_people_are_said() -> None:
    views = ring(2, 4)
    truth = capture(views, walkers(1, 4), replace(SHORT, duration_s=8.0), 4)
    rig, _ = calibrate_rig([truth.detections], CONFIG, LogProgress())
    assert "two_cameras" in rig.facts["degeneracies"]  # type: ignore[operator]
    standing = [_freeze(d, seed) for seed, d in enumerate(capture(ring(3, 4), walkers(1, 4), SHORT, 4).detections)]
    config = CalibrationConfig(offsets_s=({d.camera: 0.0 for d in standing},))
    rig, _ = calibrate_rig([standing], config, LogProgress())
    assert "static" in rig.facts["degeneracies"]  # type: ignore[operator]


def _freeze(d: Detections, seed: int) -> Detections:
    """The best seen instant for ever, with new noise in every frame. The cameras' clocks differ by whole seconds at
    most, so their instants are taken at one common time."""
    random = np.random.default_rng(seed)
    frames = 200
    xy = np.broadcast_to(d.xy[:1], (frames, *d.xy.shape[1:])) + random.normal(0, 2, (frames, *d.xy.shape[1:]))
    confidence = np.broadcast_to(d.confidence[:1], (frames, *d.confidence.shape[1:]))
    return replace(d, xy=xy.astype(np.float32), confidence=confidence.copy())


def _nobody(name: str) -> Detections:
    shape = (50, 1, len(JOINTS))
    return Detections(name, (640, 480), 30.0, np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32))


def test_bad_input_is_named() -> None:
    views, truth = record(3, 1, 0, replace(SHORT, duration_s=4.0))
    one, two, three = truth.detections
    cases = [
        ([one], "Calibration needs at least two cameras; there is 1."),
        ([one, replace(two, camera="cam01"), three], "Camera names repeat: cam01, cam01, cam03."),
        ([one, two, _nobody("cam03")], "Camera cam03 sees nobody in any frame."),
        ([one, two, replace(three, fps=0.0)], "Camera cam03 has 0.0 frames a second."),
    ]
    for detections, message in cases:
        with pytest.raises(InputError) as error:
            calibrate(detections, CONFIG, LogProgress())
        assert error.value.what == message
    with pytest.raises(InputError, match=r"joints of camera cam02 lie outside its image of 640x360"):
        calibrate([one, replace(two, size=(640, 360)), three], CONFIG, LogProgress())
    with pytest.raises(InputError, match="The known cameras name cam09, which the input lacks"):
        calibrate(truth.detections, CONFIG, LogProgress(), {"cam09": views[0].camera})
    early = [replace(d, xy=d.xy[:20], confidence=d.confidence[:20]) for d in (one, two)]
    with pytest.raises(ReconstructionError, match=r"No two cameras .* cam01: with cam02 they have no common time\."):
        calibrate(early, CONFIG, LogProgress())
