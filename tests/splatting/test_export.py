"""The 3DGS PLY: read back exactly, by us and by an independent reader."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from recon.errors import InputError
from recon.scene import Camera
from splatting.export import read_ply, write_ply
from splatting.gaussians import Gaussians
from splatting.rasterize import rasterize


def some_gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    means = normal(count, 3) * 0.5 + torch.tensor([0.0, 0, 3])
    log_scales = math.log(0.1) + 0.4 * normal(count, 3)
    sh = normal(count, (degree + 1) ** 2, 3) * 0.5
    return Gaussians(means, normal(count, 4), log_scales, normal(count), sh).normalized()


def independent(path: Path) -> Gaussians:
    """The layout as 3DGS viewers read it, by another PLY library."""
    vertex = PlyData.read(path)["vertex"].data
    names = vertex.dtype.names

    def take(*columns: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([vertex[column] for column in columns], 1))

    rest = [name for name in names if name.startswith("f_rest_")]
    sh = take("f_dc_0", "f_dc_1", "f_dc_2")[:, :, None]
    if rest:
        sh = torch.cat([sh, take(*rest).reshape(len(vertex), 3, -1)], 2)
    rot = take("rot_0", "rot_1", "rot_2", "rot_3")
    scale = take("scale_0", "scale_1", "scale_2")
    return Gaussians(take("x", "y", "z"), rot, scale, take("opacity")[:, 0], sh.transpose(1, 2).contiguous())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_an_independent_reader_gets_the_same_picture(tmp_path: Path, degree: int) -> None:
    gaussians = some_gaussians(150, degree)
    write_ply(tmp_path / "splat.ply", gaussians)
    camera = Camera(40, 32, 40.0, 40.0, 20.0, 16.0)
    ours = rasterize(gaussians, torch.eye(4), camera).image
    for theirs in (independent(tmp_path / "splat.ply"), read_ply(tmp_path / "splat.ply")):
        assert theirs.degree == degree
        again = rasterize(theirs, torch.eye(4), camera).image
        assert ours.std() > 0.05
        # Quaternions are normalised once more on the way: one rounding is all that may differ.
        assert -10 * math.log10((ours - again).square().mean().item() + 1e-20) > 100


def test_layout_is_that_of_3dgs(tmp_path: Path) -> None:
    gaussians = some_gaussians(5, 3)
    write_ply(tmp_path / "splat.ply", gaussians)
    vertex = PlyData.read(tmp_path / "splat.ply")["vertex"].data
    expected = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    expected += [f"f_rest_{i}" for i in range(45)] + ["opacity", "scale_0", "scale_1", "scale_2"]
    assert list(vertex.dtype.names) == [*expected, "rot_0", "rot_1", "rot_2", "rot_3"]
    # Channel-major: the 15 higher coefficients of red come first.
    np.testing.assert_array_equal(vertex["f_rest_14"], gaussians.sh[:, 15, 0].numpy())
    np.testing.assert_array_equal(vertex["f_rest_15"], gaussians.sh[:, 1, 1].numpy())


def test_writing_twice_gives_the_same_bytes_and_units_quaternions(tmp_path: Path) -> None:
    gaussians = some_gaussians(50, 1)
    gaussians.quats *= 3
    write_ply(tmp_path / "a.ply", gaussians)
    write_ply(tmp_path / "b.ply", read_ply(tmp_path / "a.ply"))
    np.testing.assert_allclose(read_ply(tmp_path / "a.ply").quats.norm(dim=1), 1, atol=1e-6)
    first, second = read_ply(tmp_path / "a.ply"), read_ply(tmp_path / "b.ply")
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_what_is_no_splat_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no .*gone.ply. Name the splat.ply"):
        read_ply(tmp_path / "gone.ply")
    (tmp_path / "text.ply").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a binary little-endian PLY"):
        read_ply(tmp_path / "text.ply")
    write_ply(tmp_path / "cut.ply", some_gaussians(5, 0))
    (tmp_path / "cut.ply").write_bytes((tmp_path / "cut.ply").read_bytes()[:-1])
    with pytest.raises(InputError, match="cut short"):
        read_ply(tmp_path / "cut.ply")
    data = (tmp_path / "cut.ply").read_bytes().replace(b"opacity", b"opucity")
    (tmp_path / "odd.ply").write_bytes(data + b"\0")
    with pytest.raises(InputError, match="lacks opacity"):
        read_ply(tmp_path / "odd.ply")
