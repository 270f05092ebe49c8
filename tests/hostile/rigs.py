"""As much of a finished `fewview calibrate` as `evaluate` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from fewview.calibration.artifact import RigRecord, save_rig
from fewview.calibration.formats.motion import write_motion
from fewview.calibration.observations import Motion
from fewview.calibration.skeleton import JOINTS


def write_motion_run(out: Path) -> None:
    """Makes `motion/` of the folder of a run, with the cameras that it has."""
    (out / "motion").mkdir()
    shutil.copy(out / "cameras" / "cameras.json", out / "motion")
    xyz = np.random.default_rng(0).normal(size=(8, 1, len(JOINTS), 3))
    write_motion(out / "motion" / "take.npz", Motion(30.0, 0.0, xyz, np.ones(xyz.shape[:3]), np.full(xyz.shape[:3], 2)))
    save_rig(out / "motion", RigRecord({"a.jpg": 0.0}, {}, "metre", "given", 0.1, ["take"], {"reprojection_px": 1.0}))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["stages"]["motion"] = {"seconds": 1.0}
    (out / "manifest.json").write_text(json.dumps(manifest))
