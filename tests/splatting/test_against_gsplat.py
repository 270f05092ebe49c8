"""The model that `fewview.splatting.rasterize` states is gsplat's: compared with its own code, where that runs on a
CPU."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fewview.splatting.gaussians import Gaussians
from fewview.splatting.reference import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN, project, view_colours

WIDTH, HEIGHT, NEAR = 320, 240, 0.01


@pytest.fixture(scope="module")
def gsplat() -> ModuleType:
    """Its plain implementation in torch."""
    return pytest.importorskip("gsplat.cuda._torch_impl", reason="needs gsplat (the extra `dev`)")


@pytest.fixture
def seen() -> tuple[Gaussians, torch.Tensor, torch.Tensor]:
    """Gaussians before, beside and behind a camera, its pose and its intrinsics, in float64."""
    random = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    turn, _ = torch.linalg.qr(normal(3, 3))
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = turn * turn.det().sign(), normal(3)
    gaussians = Gaussians(
        means=3 * normal(500, 3),
        quats=normal(500, 4),
        log_scales=-2 + normal(500, 3),
        logit_opacities=2 * normal(500),
        sh=0.4 * normal(500, 16, 3),
    )
    return gaussians, pose, torch.tensor([300.0, 280.0, 150.0, 130.0], dtype=torch.float64)


@pytest.mark.parametrize("antialiased", [False, True])
def test_projection(gsplat: ModuleType, seen: tuple[Gaussians, torch.Tensor, torch.Tensor], antialiased: bool) -> None:
    gaussians, pose, intrinsics = seen
    ours = project(
        gaussians, pose, intrinsics, WIDTH, HEIGHT, antialiased=antialiased, sh_degree=3, near=NEAR, normals=False
    )
    fx, fy, cx, cy = intrinsics.tolist()
    K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    covariances, _ = gsplat._quat_scale_to_covar_preci(gaussians.quats, gaussians.log_scales.exp(), compute_preci=False)
    radii, means, depths, conics, kept = gsplat._fully_fused_projection(
        gaussians.means, covariances, pose[None], K[None], WIDTH, HEIGHT, near_plane=NEAR, calc_compensations=True
    )
    drawn = (radii[0] > 0).all(-1)
    opacity = torch.sigmoid(gaussians.logit_opacities) * (kept[0] if antialiased else 1)
    assert 50 < drawn.sum() < 450
    beside = (means[0] < 0).any(-1) | (means[0] > torch.tensor([WIDTH, HEIGHT])).any(-1)
    assert (drawn & beside).sum() > 10  # of these the Jacobian is clamped
    assert (drawn & (opacity >= ALPHA_MIN) <= ours.visible).all()
    a, b, c = conics[0][drawn].unbind(-1)
    for got, expected in (
        (ours.mean, means[0]),
        (ours.depth, depths[0]),
        (ours.opacity, opacity),
    ):
        torch.testing.assert_close(got[drawn], expected[drawn], rtol=1e-9, atol=1e-9)
    conic = torch.linalg.inv(ours.covariance[drawn])
    torch.testing.assert_close(conic, torch.stack([a, b, b, c], -1).reshape(-1, 2, 2), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("degree", range(4))
def test_colours(gsplat: ModuleType, seen: tuple[Gaussians, torch.Tensor, torch.Tensor], degree: int) -> None:
    gaussians, pose, _ = seen
    directions = gaussians.means - torch.linalg.inv(pose)[:3, 3]
    harmonics = gsplat._spherical_harmonics(degree, directions, gaussians.sh)
    torch.testing.assert_close(
        view_colours(gaussians, pose, degree), (harmonics + 0.5).clamp_min(0), rtol=1e-6, atol=1e-6
    )


def test_limits_of_blending(gsplat: ModuleType) -> None:
    """Its blending runs on CUDA alone; the kernel's source, which its wheel holds, states the limits."""
    folder = Path(str(gsplat.__file__)).parent
    kernel = (folder / "csrc" / "RasterizeToPixels3DGSFwd.cu").read_text()
    most = re.search(r"alpha = min\(([0-9.]+)f, opac \* __expf\(-sigma\)\)", kernel)
    last = re.search(r"next_T <= ([0-9.e-]+)f", kernel)
    least = re.search(r"#define ALPHA_THRESHOLD \(1\.f / ([0-9]+)\.f\)", (folder / "include" / "Common.h").read_text())
    assert None not in (most, last, least)
    assert "alpha < ALPHA_THRESHOLD" in kernel
    assert (float(most[1]), 1 / float(least[1]), float(last[1])) == (ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN)
