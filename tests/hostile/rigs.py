"""As much of a finished `fewview calibrate` as `evaluate` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from calibration.formats.motion import write_motion
from calibration.observations import Motion
from calibration.skeleton import JOINTS


def write_motion_run(out: Path) -> None:
    """Makes `motion/` of the folder of a run, with the cameras that it has."""
    (out / "motion").mkdir()
    shutil.copy(out / "cameras" / "cameras.json", out / "motion")
    xyz = np.random.default_rng(0).normal(size=(8, 1, len(JOINTS), 3))
    write_motion(out / "motion" / "take.npz", Motion(30.0, 0.0, xyz, np.ones(xyz.shape[:3]), np.full(xyz.shape[:3], 2)))
    rig = {"takes": ["take"], "offsets_s": {"a.jpg": 0.0}, "scale_uncertainty": 0.1, "facts": {"reprojection_px": 1.0}}
    (out / "motion" / "rig.json").write_text(json.dumps(rig))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["stages"]["motion"] = {"seconds": 1.0}
    (out / "manifest.json").write_text(json.dumps(manifest))
