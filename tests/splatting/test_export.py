"""Splat files: read back by us and by independent readers, with the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plyfile import PlyData
from splats import HALF_TURN, by_plyfile, picture, psnr, read_elsewhere, some_gaussians, written_elsewhere

from fewview.recon.errors import InputError
from fewview.splatting.export import read_ply, read_splat, read_spz, write_ply, write_splat, write_spz
from fewview.splatting.export.spz import pack_quaternions, unpack_quaternions


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_independent_readers_of_the_ply_get_the_same_picture(tmp_path: Path, degree: int) -> None:
    gaussians = some_gaussians(150, degree)
    write_ply(tmp_path / "splat.ply", gaussians)
    ours = picture(gaussians)
    assert ours.std() > 0.05
    for read in (by_plyfile, read_ply):
        theirs = read(tmp_path / "splat.ply")
        assert theirs.degree == degree
        # Quaternions are normalised once more on the way: one rounding is all that may differ.
        assert psnr(ours, picture(theirs)) > 100


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


def test_writing_twice_gives_the_same_bytes_and_unit_quaternions(tmp_path: Path) -> None:
    gaussians = some_gaussians(50, 1)
    gaussians.quats *= 3
    write_ply(tmp_path / "a.ply", gaussians)
    write_ply(tmp_path / "b.ply", read_ply(tmp_path / "a.ply"))
    np.testing.assert_allclose(read_ply(tmp_path / "a.ply").quats.norm(dim=1), 1, atol=1e-6)
    first, second = read_ply(tmp_path / "a.ply"), read_ply(tmp_path / "b.ply")
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    for write, name in ((write_spz, "spz"), (write_splat, "splat")):
        write(tmp_path / f"a.{name}", gaussians)
        write(tmp_path / f"b.{name}", gaussians)
        assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_niantics_library_reads_our_spz(tmp_path: Path, degree: int) -> None:
    gaussians = some_gaussians(150, degree)
    write_spz(tmp_path / "splat.spz", gaussians)
    theirs, ours = read_elsewhere(tmp_path / "splat.spz", "spz"), read_spz(tmp_path / "splat.spz")
    assert theirs.degree == ours.degree == degree
    # It leaves the axes as they are in the file, so the camera turns instead of the splats.
    assert psnr(picture(theirs, HALF_TURN), picture(ours)) > 80
    assert psnr(picture(gaussians), picture(ours)) > 40


@pytest.mark.parametrize("version", [2, 3, 4])
def test_we_read_the_spz_of_niantics_library(tmp_path: Path, version: int) -> None:
    gaussians = some_gaussians(150, 3)
    write_ply(tmp_path / "splat.ply", gaussians)
    (tmp_path / "splat.spz").write_bytes(written_elsewhere(tmp_path / "splat.ply", "spz", version))
    theirs, ours = read_elsewhere(tmp_path / "splat.spz", "spz"), read_spz(tmp_path / "splat.spz")
    assert psnr(picture(theirs), picture(ours, HALF_TURN)) > 80
    assert psnr(picture(gaussians), picture(ours, HALF_TURN)) > 30


@given(st.integers(0, 1000), st.integers(0, 3), st.floats(-6, 14))
def test_spz_rounds_no_more_than_its_bits(
    tmp_path_factory: pytest.TempPathFactory, n: int, k: int, log2: float
) -> None:
    """Scenes of any size, near the origin or far from it."""
    path = tmp_path_factory.mktemp("spz") / "splat.spz"
    gaussians = some_gaussians(n % 20, k)
    gaussians.means *= 2.0**log2
    write_spz(path, gaussians)
    again = read_spz(path)
    reach = float(gaussians.means.abs().max()) if n % 20 else 0.0
    assert bool(((again.means - gaussians.means).abs() <= max(2.0**-17, (reach + 1) * 2.0**-22)).all())
    assert bool(((again.log_scales - gaussians.log_scales).abs() <= 1 / 32 + 1e-6).all())
    alpha = (torch.sigmoid(again.logit_opacities) - torch.sigmoid(gaussians.logit_opacities)).abs()
    assert bool((alpha <= 0.51 / 255).all())
    higher = gaussians.sh[:, 1:]
    assert bool(((again.sh[:, 1:] - higher).abs() <= 1 / 256 + (higher.abs() - 127 / 128).clamp_min(0) + 1e-6).all())


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 0.1), max_size=5))
def test_packed_quaternions_turn_by_less_than_a_fifth_of_a_degree(quats: list[tuple[float, ...]]) -> None:
    unit = np.array(quats, np.float64).reshape(-1, 4)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    packed = pack_quaternions(unit)
    assert ((packed >= 0) & (packed < 2**32)).all()
    again = unpack_quaternions(packed)
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1)
    turned = 2 * np.degrees(np.arccos(np.clip(np.abs((again * unit).sum(1)), 0, 1)))
    assert (turned < 0.2).all()


def test_splat32_is_read_elsewhere_and_back(tmp_path: Path) -> None:
    gaussians = some_gaussians(150, 0)
    write_splat(tmp_path / "splat.splat", gaussians)
    ours, theirs = read_splat(tmp_path / "splat.splat"), read_elsewhere(tmp_path / "splat.splat", "splat")
    assert psnr(picture(ours), picture(theirs)) > 80
    assert psnr(picture(gaussians), picture(ours)) > 35
    prominence = ours.log_scales.sum(1).exp() * torch.sigmoid(ours.logit_opacities)
    assert bool((prominence[:-1] > prominence[1:] * 0.95).all()), "the most prominent come first"
    write_ply(tmp_path / "splat.ply", gaussians)
    (tmp_path / "other.splat").write_bytes(written_elsewhere(tmp_path / "splat.ply", "splat"))
    assert psnr(picture(gaussians), picture(read_splat(tmp_path / "other.splat"))) > 35


def test_extreme_opacities_and_sizes_stay_finite(tmp_path: Path) -> None:
    gaussians = some_gaussians(4, 1)
    gaussians.logit_opacities[:] = torch.tensor([-300.0, -9, 9, 300])
    gaussians.log_scales[0] = -40
    for write, read in ((write_spz, read_spz), (write_splat, read_splat)):
        write(tmp_path / "splat", gaussians)
        again = read(tmp_path / "splat")
        assert bool(torch.sigmoid(again.logit_opacities).sort().values[2:].gt(0.99).all())
        assert bool(torch.sigmoid(again.logit_opacities).sort().values[:2].lt(0.01).all())
    gaussians.means[0, 0] = 1e7
    with pytest.raises(InputError, match=r"SPZ cannot hold positions 1e\+07 units from the origin. Export the PLY."):
        write_spz(tmp_path / "splat", gaussians)
