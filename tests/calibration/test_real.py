"""Real detections with true cameras. The bounds are what was measured, with a little room; see the README for what was
aimed at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fewview.calibration.calibrate import calibrate
from fewview.calibration.config import CalibrationConfig
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import INDEX, JOINTS
from fewview.data.people import Capture
from fewview.recon.geometry.fit import fit_sim3
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera, View
from tests.calibration.captures import compare

BODY_25B = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle", None, None, "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip

pytestmark = pytest.mark.data


def _views(file: Path) -> list[View]:
    views = []
    for c in json.loads(file.read_text(encoding="utf-8")):
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = c["R"], c["t"]
        (fx, _, cx), (_, fy, cy), _ = c["K"]
        views.append(View(c["name"], Camera(*c["size"], fx, fy, cx + 0.5, cy + 0.5, tuple(c["dist"])), invert_rigid(T)))
    return views


def _detections(view: View, fps: float, xy: np.ndarray, confidence: np.ndarray, names: tuple) -> Detections:
    """From (F, P, joints, 2) pixels with the first pixel at 0."""
    shape = (*xy.shape[:2], len(JOINTS))
    out, sure = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    for i, name in enumerate(names):
        if name is not None:
            seen = confidence[:, :, i] > 0
            out[:, :, INDEX[name]] = np.where(seen[..., None], xy[:, :, i] + 0.5, np.nan)
            sure[:, :, INDEX[name]] = np.clip(confidence[:, :, i], 0, 1)
    return Detections(view.name, (view.camera.width, view.camera.height), fps, out, sure)


def test_athlete_and_bystander(mocap: Path) -> None:
    views = _views(mocap / "pose2sim_single" / "cameras.json")
    with np.load(mocap / "pose2sim_single" / "body25b.npz") as file:
        persons = file["persons"]
    detections = [_detections(v, 60.0, p[..., :2], p[..., 2], BODY_25B) for v, p in zip(views, persons, strict=True)]
    truth = Capture(detections, {v.name: 0.0 for v in views})
    rig, motion = calibrate(detections, CalibrationConfig(), LogProgress())
    errors = compare(rig, views, truth)
    assert errors.s_te_m < 0.18
    assert errors.rotation_deg < 1.4
    assert errors.offset_s < 1 / 60
    # The athlete is one person in all four cameras; the bystander, seen by two, is nobody else's part.
    first = motion.xyz[:, 0]
    hips = 0.5 * (first[:, INDEX["left_hip"]] + first[:, INDEX["right_hip"]])
    assert np.linalg.norm(np.diff(hips, axis=0), axis=1).max() < 0.1
    assert np.median(motion.support[:, 0, INDEX["left_knee"]]) >= 3
    same, _ = calibrate(detections, CalibrationConfig(same_cameras=True), LogProgress())
    assert compare(same, views, truth).s_te_m < 0.08


def test_nine_cameras_one_started_late(mocap: Path) -> None:
    views = _views(mocap / "aistpp_9view" / "cameras.json")
    with np.load(mocap / "aistpp_9view" / "gBR_sBM_cAll_d04_mBR0_ch03.npz") as file:
        xy, confidence = file["xy"][:, :, None], file["conf"][:, :, None]
    detections = [_detections(v, 60.0, p, c, JOINTS[:17]) for v, p, c in zip(views, xy, confidence, strict=True)]
    rig, motion = calibrate(detections, CalibrationConfig(), LogProgress())
    errors = compare(rig, views, Capture(detections, dict.fromkeys(rig.offsets_s, 0.0)))
    assert errors.s_te_m < 0.25
    assert errors.rotation_deg < 1.7
    assert rig.offsets_s["c05"] * 60 == pytest.approx(91, abs=1)
    with np.load(mocap / "aistpp_9view" / "keypoints3d_ch03.npz") as file:
        true = file["keypoints3d_m"]
    begin = round(motion.start_s * 60)
    count = min(len(motion.xyz), len(true) - begin)
    found, true = motion.xyz[:count, 0, :17], true[begin : begin + count]
    known = np.isfinite(found).all(axis=-1) & np.isfinite(true).all(axis=-1)
    fit = fit_sim3(found[known], true[known])
    assert known.mean() > 0.98
    assert np.linalg.norm(fit(found[known]) - true[known], axis=1).mean() < 0.028
