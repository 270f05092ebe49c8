"""Gaussians in another frame: formats differ in where up is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fewview.splatting.gaussians import Gaussians
from fewview.splatting.reference import sh_basis

_AXES = torch.tensor([1.0, -1, -1])
_QUATERNION = torch.tensor([1.0, 1, -1, -1])
"""wxyz: turning both axes' signs is half a turn about x."""
_HARMONICS = torch.tensor([1.0, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1])
"""Parity in y and z of each harmonic of degrees 0 to 3, by its polynomial (`fewview.splatting.reference.sh_basis`)."""
_DIRECTIONS = 64
"""On which harmonics are compared: four times as many as there are of degree 3."""


def half_turn(gaussians: Gaussians) -> Gaussians:
    """Half a turn about x, without rounding: between our axes (x right, y down, z forward) and those of glTF and SPZ
    (x right, y up, z backward). It is its own inverse."""
    return replace(
        gaussians,
        means=gaussians.means * _AXES,
        quats=gaussians.quats * _QUATERNION,
        sh=gaussians.sh * _HARMONICS[: gaussians.sh.shape[1], None],
    )


def moved(gaussians: Gaussians, T_new_old: Float[np.ndarray, "4 4"]) -> Gaussians:
    """The same scene in a frame that is turned and shifted.

    The harmonics turn with it: those of one degree span the same functions in any frame, so their new coefficients are
    the solution of linear equations, one a direction.

    Args:
        T_new_old: rigid.
    """
    R = torch.from_numpy(T_new_old[:3, :3]).double()
    means = gaussians.means.double() @ R.T + torch.from_numpy(T_new_old[:3, 3]).double()
    directions = _sphere(_DIRECTIONS)
    degree = gaussians.degree
    turn = torch.linalg.lstsq(sh_basis(directions @ R.T, degree), sh_basis(directions, degree)).solution
    return replace(
        gaussians,
        means=means.float(),
        quats=_product(_quaternion(R), gaussians.quats.double()).float(),
        sh=torch.einsum("kj,njc->nkc", turn, gaussians.sh.double()).float(),
    )


def _sphere(count: int) -> Float[Tensor, "N 3"]:
    """Directions spread evenly: a Fibonacci lattice."""
    index = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * index + 1) / count
    azimuth = index * math.pi * (3 - math.sqrt(5))
    ring = (1 - z * z).sqrt()
    return torch.stack([ring * azimuth.cos(), ring * azimuth.sin(), z], -1)


def _quaternion(R: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """wxyz of a rotation: the eigenvector of the largest eigenvalue (Bar-Itzhack 2000)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = R.tolist()
    K = torch.tensor(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ],
        dtype=torch.float64,
    )
    return torch.linalg.eigh(K).eigenvectors[:, -1]


def _product(a: Float[Tensor, " 4"], b: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Hamilton's, wxyz."""
    w, x, y, z = a
    left = torch.stack(
        [
            torch.stack([w, -x, -y, -z]), torch.stack([x, w, -z, y]),
            torch.stack([y, z, w, -x]), torch.stack([z, -y, x, w]),
        ]
    )  # fmt: skip
    return b @ left.T
