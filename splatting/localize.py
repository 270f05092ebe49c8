"""Finds where a photo was taken, given splats that stay as they are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from recon.scene import PosedImage
from splatting.cameras import PoseParameters
from splatting.gaussians import Gaussians
from splatting.losses import PhotometricLoss
from splatting.rasterize import rasterize
from splatting.threads import one_torch_thread


def localize(
    gaussians: Gaussians, photo: PosedImage, length: float, *, steps: int = 200, rate: float = 2e-3
) -> Float[np.ndarray, "4 4"]:
    """Camera to world of `photo`, refined from the pose it has, by 0.8 L1 + 0.2 (1 - SSIM) of its render.

    Args:
        gaussians: frozen; they receive no gradient.
        photo: with a pose that is near enough for the render to overlap.
        length: typical depth in scene units (`splatting.optimize.typical_depth`).
        steps: Adam steps; the rate falls to a hundredth over them.
        rate: first step in radians and in shares of `length`.
    """
    pose = PoseParameters(photo.T_camera_world[None], length, held=())
    loss = PhotometricLoss(torch.from_numpy(photo.image), torch.from_numpy(photo.mask), 0.2)
    optimizer = torch.optim.Adam(pose.parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / steps))
    with one_torch_thread() as threads:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            seen = rasterize(gaussians, pose.view_matrix(0), photo.camera, threads=threads)
            loss(seen.image, threads=threads)[0].backward()
            optimizer.step()
            schedule.step()
    return np.linalg.inv(pose.poses()[0])
