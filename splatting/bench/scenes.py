"""Two synthetic scenes of any size, and the views from which they are trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fewview.recon.scene import Camera
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.reference import rotation_matrices

CAMERA = Camera(512, 384, 450.0, 450.0, 256.0, 192.0)
VIEWS = 12


def random_scene(count: int) -> Gaussians:
    """Gaussians anywhere in front of the camera with a footprint of about one pixel: no tile is like
    another."""
    random = torch.Generator().manual_seed(0)
    z = torch.rand(count, generator=random) * 3 + 1.5
    x = (torch.rand(count, generator=random) * CAMERA.width - CAMERA.cx) / CAMERA.fx
    y = (torch.rand(count, generator=random) * CAMERA.height - CAMERA.cy) / CAMERA.fy
    return Gaussians(
        torch.stack([x * z, y * z, z], 1),
        torch.nn.functional.normalize(torch.randn(count, 4, generator=random), dim=-1),
        (z / CAMERA.fx).log()[:, None] + 0.3 * torch.randn(count, 3, generator=random),
        1.5 * torch.randn(count, generator=random),
        0.3 * torch.randn(count, 4, 3, generator=random),
    )


def surface_scene(count: int) -> Gaussians:
    """A room seen from inside: flat, mostly opaque discs on its walls and on a ball, as training leaves
    them."""
    random = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.stack([
            (torch.rand(count, generator=random) - 0.5) * 1.4 * CAMERA.width / CAMERA.fx,
            (torch.rand(count, generator=random) - 0.5) * 1.4 * CAMERA.height / CAMERA.fy,
            torch.ones(count),
        ], 1), dim=-1,
    )  # fmt: skip
    half = torch.tensor([1.5, 1.0, 3.0])
    reach, wall = (half / directions.abs()).min(1)
    normals = torch.nn.functional.one_hot(wall, 3).float()
    centre, radius = torch.tensor([0.2, 0.3, 2.0]), 0.5
    along = directions @ centre
    gap = along.square() - centre.square().sum() + radius**2
    hit = gap > 0
    reach = torch.where(hit, along - gap.clamp_min(0).sqrt(), reach)
    means = directions * reach[:, None]
    normals = torch.where(hit[:, None], (means - centre) / radius, normals)
    # The shortest turn that takes z to the normal.
    normals = torch.where(normals[:, 2:] < -0.999, -normals, normals)
    quats = torch.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(count)], 1)
    # Discs that just cover the surface between them.
    spacing = means[:, 2] / CAMERA.fx * math.sqrt(CAMERA.width * CAMERA.height * 1.96 / count)
    log_scales = (0.6 * spacing).log()[:, None] + torch.tensor([0.0, 0.0, -2.5])
    return Gaussians(
        means,
        torch.nn.functional.normalize(quats, dim=-1),
        log_scales + 0.2 * torch.randn(count, 3, generator=random),
        2 + torch.randn(count, generator=random),
        0.3 * torch.randn(count, 4, 3, generator=random),
    )


SCENES = {"random": random_scene, "surface": surface_scene}


def view_poses() -> list[Tensor]:
    """World to camera of views that look about by a few degrees."""
    random = torch.Generator().manual_seed(1)
    poses = []
    for _ in range(VIEWS):
        T = torch.eye(4)
        quat = torch.tensor([[1.0, 0, 0, 0]]) + 0.02 * torch.randn(1, 4, generator=random)
        T[:3, :3] = rotation_matrices(quat)[0]
        T[:3, 3] = 0.05 * torch.randn(3, generator=random)
        poses.append(T)
    return poses
