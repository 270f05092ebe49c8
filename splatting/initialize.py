"""Initial Gaussians: flat discs on the surfaces that the depth stage found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from fewview.recon.depth.artifact import Points
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage
from fewview.splatting.gaussians import SH_C0, Gaussians

# Standard deviation in units of the spacing between neighbours, at which a grid of Gaussians sums to an almost even
# sheet (ripple under 1 %).
_SIGMA_PER_SPACING = 0.6
_THICKNESS = 0.2
"""Standard deviation along the normal as a share of the one along the surface."""


@dataclass(frozen=True)
class PointCloud:
    """One entry per surface point that a view's pixel saw: the points of `depth/`, to compute with."""

    xyz: Float[np.ndarray, "N 3"]
    rgb: UInt8[np.ndarray, "N 3"]
    normal: Float[np.ndarray, "N 3"]
    """World frame, NaN = unknown."""
    radius: Float[np.ndarray, " N"]
    """Half a pixel's footprint on the surface."""
    confidence: Float[np.ndarray, " N"]
    verified: Bool[np.ndarray, " N"]
    view: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, index: Int[np.ndarray, " M"], growth: Float[np.ndarray, " M"]) -> PointCloud:
        """The points `index`, each standing for an area `growth` squared times larger."""
        return PointCloud(
            self.xyz[index], self.rgb[index], self.normal[index], self.radius[index] * growth,
            self.confidence[index], self.verified[index], self.view[index],
        )  # fmt: skip


def read_points(folder: Path) -> PointCloud:
    """Of the artifact `depth`."""
    points = Points.load(folder)
    return PointCloud(
        xyz=points.xyz.astype(np.float64),
        rgb=points.rgb,
        normal=points.normal.astype(np.float64),
        radius=points.radius.astype(np.float64),
        confidence=points.confidence.astype(np.float64),
        verified=points.verified,
        view=points.view.astype(np.int64),
    )


def thinned(points: PointCloud, pixels: Float[np.ndarray, "N 2"], budget: int, coarseness: float = 1.0) -> PointCloud:
    """At most about `budget` points that still cover what all of them cover.

    The pixels of each view are cut into square cells; a cell keeps the point next to its centre, which grows to the
    cell's size.

    Args:
        points: N points.
        pixels: where each lies in its own view, in pixels of the size at which the points were made.
        budget: wanted number.
        coarseness: size of the cells of points that no second view verified, in cells of those that are.
    """
    relative = np.where(points.verified, 1.0, coarseness)

    def kept(cell: float) -> Int[np.ndarray, " M"]:
        return _one_a_cell(points, pixels, np.maximum(cell * relative, 1.0))

    # The count falls as the cell grows; bisect for the smallest cell that fits.
    low, high = 0.0, 1.0
    while len(kept(high)) > budget:
        low, high = high, 2 * high
    if high > 1:
        for _ in range(10):
            cell = (low + high) / 2
            if len(kept(cell)) > budget:
                low = cell
            else:
                high = cell
    index = kept(high)
    return points.take(index, np.maximum(high * relative, 1.0)[index])


def in_own_view(
    points: PointCloud, posed: Sequence[PosedImage]
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"]]:
    """Where each point lies in the view that it came from (pixels), and how large a pixel is there (scene units)."""
    pixels, size = np.zeros((len(points), 2)), np.ones(len(points))
    for index, view in enumerate(posed):
        own = points.view == index
        local = transform(view.T_camera_world, points.xyz[own])
        pixels[own] = view.camera.project(local)
        size[own] = local[:, 2] / view.camera.fx
    return pixels, size


def joined(clouds: Sequence[PointCloud]) -> PointCloud:
    """All points, in order."""
    return PointCloud(**{f.name: np.concatenate([getattr(c, f.name) for c in clouds]) for f in fields(PointCloud)})


def _one_a_cell(
    points: PointCloud, pixels: Float[np.ndarray, "N 2"], cell: Float[np.ndarray, " N"]
) -> Int[np.ndarray, " M"]:
    """Indices of the points nearest to the centres of their cells, in ascending order; verified points and others have
    cells of their own."""
    place = np.floor(pixels / cell[:, None]).astype(np.int64)
    off = np.square(pixels - (place + 0.5) * cell[:, None]).sum(1)
    group = 2 * points.view + points.verified
    key = (group << 40) | ((place[:, 1] + 2**18) << 20) | (place[:, 0] + 2**18)
    order = np.lexsort([off, key])
    first = np.ones(len(order), bool)
    first[1:] = key[order[1:]] != key[order[:-1]]
    return np.sort(order[first])


def gaussians_from_points(points: PointCloud, degree: int) -> Gaussians:
    """One flat Gaussian a point: facing along the normal (a ball where that is unknown), more opaque where sure.

    Args:
        points: N points; `radius` is half the distance to the neighbours that together cover the surface.
        degree: of the spherical harmonics; all but the constant start at zero.
    """
    normal = points.normal
    oriented = np.isfinite(normal).all(1)
    sigma = np.repeat(2 * _SIGMA_PER_SPACING * points.radius[:, None], 3, axis=1)
    sigma[oriented, 2] *= _THICKNESS
    quats = np.tile([1.0, 0, 0, 0], (len(points), 1))
    quats[oriented] = _z_to(normal[oriented])
    opacity = 0.3 + 0.6 * np.clip(points.confidence, 0, 1)
    sh = np.zeros((len(points), (degree + 1) ** 2, 3))
    sh[:, 0] = (points.rgb / 255 - 0.5) / SH_C0

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))

    return Gaussians(
        means=tensor(points.xyz),
        quats=tensor(quats),
        log_scales=tensor(np.log(sigma)),
        logit_opacities=tensor(np.log(opacity / (1 - opacity))),
        sh=tensor(sh),
    )


def _z_to(normal: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 4"]:
    """Unit quaternions (wxyz) of rotations that take the z axis to `normal` or its opposite, whichever is nearer."""
    n = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    n = np.where(n[:, 2:] < 0, -n, n)
    # Half-way vector between z and n: q = (1 + n_z, z x n), never near zero as n_z >= 0.
    q = np.stack([1 + n[:, 2], -n[:, 1], n[:, 0], np.zeros(len(n))], 1)
    return q / np.linalg.norm(q, axis=1, keepdims=True)
