"""Depth maps to a coloured point cloud, only of what two photos agree on: `python 03_depth.py RUN POINTS.ply`."""

import sys

import numpy as np
import trimesh
from PIL import Image

import fewview

run = fewview.open_run(sys.argv[1])
points, colors = [], []
for photo in run.photos:
    if not photo.registered:
        continue
    depth = run.depth(photo.name)  # of the undistorted photo, seen by depth.view.camera
    height, width = depth.depth.shape
    y, x = np.nonzero((depth.source == 1) & (depth.confidence > 0.5))
    camera, z = depth.view.camera, depth.depth[y, x]
    rays = np.stack([(x + 0.5 - camera.cx) / camera.fx, (y + 0.5 - camera.cy) / camera.fy, np.ones(len(x))], axis=1)
    points.append(z[:, None] * rays @ depth.view.T_world_camera[:3, :3].T + depth.view.center)
    with Image.open(run.out / "photos" / "images" / f"{photo.key}.png") as image:  # near enough without distortion
        colors.append(np.asarray(image.convert("RGB").resize((width, height)))[y, x])
    print(f"{photo.name}: {len(x)} of {width * height} pixels are sure")
trimesh.PointCloud(np.concatenate(points), np.concatenate(colors)).export(sys.argv[2])
