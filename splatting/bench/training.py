"""What training needs in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.progress import LogProgress
from fewview.recon.scene import PosedImage
from fewview.splatting.bench.scenes import CAMERA, surface_scene, view_poses
from fewview.splatting.bench.step import peak_mib
from fewview.splatting.config import SplatConfig
from fewview.splatting.regularize import SurfacePrior
from fewview.splatting.training import train

TRAINED_GAUSSIANS = 300_000
_STEPS = 24


def training_memory() -> dict[str, Any]:
    """Peak memory of the optimiser itself, on as many Gaussians and views as it is meant for: two rounds over 12
    views of 512 x 384, each with a photo and depth. To be called in a process of its own."""
    before = peak_mib()
    gaussians = surface_scene(TRAINED_GAUSSIANS)
    random = np.random.default_rng(0)
    shape = (CAMERA.height, CAMERA.width)
    posed, priors = [], []
    for index, T_camera_world in enumerate(view_poses()):
        image = random.random((*shape, 3), np.float32)
        T_world_camera = invert_rigid(T_camera_world.double().numpy())
        posed.append(PosedImage(str(index), CAMERA, T_world_camera, image, np.ones(shape, bool)))
        facing = np.tile(np.array([0, 0, -1], np.float32), (*shape, 1))
        priors.append(SurfacePrior(np.full(shape, 3, np.float32), facing, np.ones(shape, np.float32)))
    unit = gaussians.means[:, 2].numpy() / np.float32(CAMERA.fx)
    config = SplatConfig(steps=_STEPS, budget=gaussians.count, grow=0.0, stop_early=False)
    trained = train(gaussians, unit, posed, priors, config, LogProgress())
    return {
        "gaussians": TRAINED_GAUSSIANS,
        "gaussians_after": trained.gaussians.count,
        "views": len(posed),
        "width": CAMERA.width,
        "height": CAMERA.height,
        "libraries_mib": before,
        "peak_mib": peak_mib(),
    }
