"""The splat from between two photos, and a gradient: `python 04_splat.py RUN VIEW.png`."""

import sys

import numpy as np
import torch
from PIL import Image

import fewview

run = fewview.open_run(sys.argv[1])
splat = run.splat()
a, b = run.refined_cameras.views[:2]  # the splat belongs to these
print(f"{len(splat.means)} Gaussians")


def render(T_world_camera: np.ndarray) -> torch.Tensor:
    T_camera_world = torch.tensor(np.linalg.inv(T_world_camera), dtype=torch.float32)
    return fewview.rasterize(splat, T_camera_world, a.camera.fitted(640), antialiased=True).image.clamp(0, 1)


T_world_camera = a.T_world_camera.copy()
T_world_camera[:3, 3] = (a.center + b.center) / 2  # half way to the next photo, looking as the first
Image.fromarray((render(T_world_camera).numpy() * 255).astype(np.uint8)).save(sys.argv[2])

# Gradients flow to Gaussians, pose and intrinsics.
pose = torch.tensor(a.T_camera_world, dtype=torch.float32, requires_grad=True)
fewview.rasterize(splat, pose, a.camera.fitted(64)).image.mean().backward()
print("gradient of the mean colour by the pose:", pose.grad[:3, 3])
