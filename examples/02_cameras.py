"""Only cameras, and the same cameras given to a second run: `python 02_cameras.py PHOTOS OUT`."""

import sys
from dataclasses import replace
from pathlib import Path

import fewview
from fewview.apps.pipeline import PRESETS

photos, out = Path(sys.argv[1]), Path(sys.argv[2])
run = fewview.reconstruct(photos, out / "found", preset="fast", until="cameras")
for view in run.cameras.views:
    camera = view.camera  # pixels of the original photo; half-integer pixel centres
    print(f"{view.name}: {camera.width}x{camera.height}, f = {camera.fx:.1f} px, centre {view.center.round(3)}")
    print(view.T_world_camera.round(3))  # camera to world, OpenCV axes: x right, y down, z forward
print("units:", run.cameras.units)

# Poses that are given stay as they are: a COLMAP model, a transforms.json or a cameras.json.
fast = PRESETS["fast"]
known = replace(fast, cameras=replace(fast.cameras, source=f"known:{run.out / 'cameras' / 'cameras.json'}"))
again = fewview.reconstruct(photos, out / "known", preset=known, until="cameras")
for a, b in zip(run.cameras.views, again.cameras.views, strict=True):
    print(f"{a.name} moved by {abs(a.center - b.center).max():.1e}")
