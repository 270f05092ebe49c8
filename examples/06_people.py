"""Cameras and motion from people, who are synthetic here, so that the truth is known: `python 06_people.py OUT`."""

import sys
from pathlib import Path

import numpy as np

import fewview
from fewview.data.people import CaptureConfig, Walker, capture, ring

out = Path(sys.argv[1])
(out / "rig").mkdir(parents=True, exist_ok=True)
views = ring(4, seed=0)
seen = capture(views, [Walker(height_m=1.8, seed=1)], CaptureConfig(duration_s=6), seed=0)
for camera in seen.detections:  # (frame, person, joint); a folder of videos or of OpenPose JSON does as well
    arrays = {"xy": camera.xy, "confidence": camera.confidence, "size": camera.size, "fps": camera.fps}
    np.savez(out / "rig" / f"{camera.camera}.npz", **arrays)

run = fewview.calibrate(out / "rig", out / "calibrated", height_m=1.8)
cameras = run.cameras  # world: metres, y down, the floor at y = 0
for a, b in zip(cameras.views[1:], views[1:], strict=True):
    found, true = np.linalg.norm(a.center - cameras.views[0].center), np.linalg.norm(b.center - views[0].center)
    print(f"{a.name}: {found:.3f} m from {cameras.views[0].name} (true {true:.3f}), f = {a.camera.fx:.0f} px")
motion = run.motion()
print(f"{motion.xyz.shape[0]} frames at {motion.fps:g} Hz, {motion.xyz.shape[1]} person, {motion.xyz.shape[2]} joints")
print(f"{np.isfinite(motion.xyz).all(-1).mean():.0%} of the joints are known")
