"""Random splats, what they look like, and an independent reader of their files."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import gaussforge
import numpy as np
import pytest
import torch
from plyfile import PlyData
from torch import Tensor

from fewview.recon.scene import Camera
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.rasterize import rasterize

HALF_TURN = torch.diag(torch.tensor([1.0, -1, -1, 1]))
"""Between our axes and those of SPZ (y and z reversed)."""


def some_gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    means = normal(count, 3) * 0.5 + torch.tensor([0.0, 0, 3])
    log_scales = math.log(0.1) + 0.4 * normal(count, 3)
    sh = normal(count, (degree + 1) ** 2, 3) * 0.3
    return Gaussians(means, normal(count, 4), log_scales, normal(count), sh).normalized()


def picture(gaussians: Gaussians, T_camera_world: Tensor | None = None) -> Tensor:
    pose = torch.eye(4) if T_camera_world is None else T_camera_world
    return rasterize(gaussians, pose, Camera(40, 32, 40.0, 40.0, 20.0, 16.0)).image


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10((a - b).square().mean().item() + 1e-20)


def by_plyfile(path: Path) -> Gaussians:
    """The layout as 3DGS viewers read it, by another PLY library."""
    vertex = PlyData.read(path)["vertex"].data
    names = vertex.dtype.names

    def take(*columns: str) -> Tensor:
        return torch.from_numpy(np.stack([vertex[column] for column in columns], 1))

    rest = [name for name in names if name.startswith("f_rest_")]
    sh = take("f_dc_0", "f_dc_1", "f_dc_2")[:, :, None]
    if rest:
        sh = torch.cat([sh, take(*rest).reshape(len(vertex), 3, -1)], 2)
    rot = take("rot_0", "rot_1", "rot_2", "rot_3")
    scale = take("scale_0", "scale_1", "scale_2")
    return Gaussians(take("x", "y", "z"), rot, scale, take("opacity")[:, 0], sh.transpose(1, 2).contiguous())


def read_elsewhere(path: Path, kind: str) -> Gaussians:
    """By gaussforge, whose SPZ code is Niantic's own library; axes as in the file."""
    ply = path.with_name(f"{path.name}.ply")
    ply.write_bytes(gaussforge.GaussForge().convert(path.read_bytes(), kind, "ply")["data"])
    return by_plyfile(ply)


def written_elsewhere(ply: Path, kind: str, spz_version: int = 3) -> bytes:
    """What gaussforge makes of a PLY; it leaves axes as they are."""
    return gaussforge.GaussForge().convert(ply.read_bytes(), "ply", kind, spz_version=spz_version)["data"]


READERS = Path(__file__).parents[1] / "readers" / "node_modules"


def by_splat_transform(path: Path) -> Gaussians:
    """By PlayCanvas's own tool, in the frame of the PLY; the test is skipped where npm has not brought it."""
    tool = READERS / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    if not tool.exists() or shutil.which("node") is None:
        pytest.skip("needs splat-transform (`make test` installs it)")
    ply = path.with_name(f"{path.name}.ply")
    subprocess.run(["node", str(tool), "--quiet", "--overwrite", str(path), str(ply)], check=True)
    read = by_plyfile(ply)
    # A whole byte of opacity has an infinite logit there.
    read.logit_opacities.clamp_(-12, 12)
    return read
