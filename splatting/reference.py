"""The rasteriser again, in plain torch: readable, slow, any float type, differentiable by autograd.

It defines what the fast back ends must compute (`fewview.splatting.rasterize` states the model); tests compare them
with it in float64, and the benchmark reports how much faster they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewview.splatting.gaussians import SH_C0, Gaussians

BLUR_PX2 = 0.3
ALPHA_MIN = 1 / 255
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4

# Real spherical harmonics in the order and with the signs of 3DGS.
_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
_C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


@dataclass
class Projected:
    """Gaussians as the image plane sees them; rows that are not `visible` hold arbitrary finite values."""

    mean: Float[Tensor, "N 2"]
    covariance: Float[Tensor, "N 2 2"]
    """With the blur added, square pixels."""
    opacity: Float[Tensor, " N"]
    """Times the compensation, where anti-aliased."""
    depth: Float[Tensor, " N"]
    channels: Float[Tensor, "N C"]
    """Red, green, blue, z-depth[, normal in the camera frame]."""
    visible: Bool[Tensor, " N"]


def rotation_matrices(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """Rotations of wxyz quaternions, normalised here."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(-1, 3, 3)  # fmt: skip


def sh_basis(directions: Float[Tensor, "N 3"], degree: int) -> Float[Tensor, "N K"]:
    """Real spherical harmonics up to `degree` (0 to 3) of unit directions."""
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        basis += [-_C1 * y, _C1 * z, -_C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis += [
            _C2[0] * x * y,
            _C2[1] * y * z,
            _C2[2] * (2 * zz - xx - yy),
            _C2[3] * x * z,
            _C2[4] * (xx - yy),
        ]
    if degree >= 3:
        basis += [
            _C3[0] * y * (3 * xx - yy),
            _C3[1] * x * y * z,
            _C3[2] * y * (4 * zz - xx - yy),
            _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            _C3[4] * x * (4 * zz - xx - yy),
            _C3[5] * z * (xx - yy),
            _C3[6] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, -1)


def view_colours(gaussians: Gaussians, T_camera_world: Float[Tensor, "4 4"], degree: int) -> Float[Tensor, "N 3"]:
    """Colour of each Gaussian as the camera sees it."""
    # The camera centre is -R^T t.
    offset = gaussians.means + T_camera_world[:3, :3].T @ T_camera_world[:3, 3]
    basis = sh_basis(torch.nn.functional.normalize(offset, dim=-1), degree)
    return (0.5 + torch.einsum("nk,nkc->nc", basis, gaussians.sh[:, : basis.shape[1]])).clamp_min(0)


def camera_normals(
    gaussians: Gaussians,
    axes: Float[Tensor, "N 3 3"],
    T_camera_world: Float[Tensor, "4 4"],
    points: Float[Tensor, "N 3"],
) -> Float[Tensor, "N 3"]:
    """Thinnest axes in the camera frame, turned towards the camera; `points`: means in that frame."""
    thin = gaussians.log_scales.argmin(-1)
    normal = axes[torch.arange(len(thin), device=thin.device), :, thin] @ T_camera_world[:3, :3].T
    away = (normal.detach() * points.detach()).sum(-1, keepdim=True) > 0
    return torch.where(away, -normal, normal)


def project(
    gaussians: Gaussians,
    T_camera_world: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, " 4"],
    width: int,
    height: int,
    *,
    antialiased: bool,
    sh_degree: int,
    near: float,
    normals: bool,
) -> Projected:
    """EWA projection (Zwicker et al. 2001, eq. 26-31) and colours by view direction."""
    R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    fx, fy, cx, cy = intrinsics.unbind()
    camera = gaussians.means @ R.T + t
    visible = (camera[:, 2] > near) & (gaussians.quats.norm(dim=-1) > 0)
    # Points behind the camera take a harmless place so that no gradient becomes NaN.
    x, y, z = torch.where(visible[:, None], camera, camera.new_tensor([0.0, 0.0, 1.0])).unbind(-1)
    mean = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)

    def clamped(ratio: Tensor, focal: Tensor, principal: Tensor, size: int) -> Tensor:
        margin = 0.3 * 0.5 * size / focal
        return torch.minimum(torch.maximum(ratio, -principal / focal - margin), (size - principal) / focal + margin)

    u, v = clamped(x / z, fx, cx, width), clamped(y / z, fy, cy, height)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], -1).reshape(-1, 2, 3)
    axes = rotation_matrices(torch.where(visible[:, None], gaussians.quats, gaussians.quats.new_tensor([1.0, 0, 0, 0])))
    M = J @ R @ (axes * gaussians.log_scales.exp()[:, None, :])
    sharp = M @ M.transpose(1, 2)
    covariance = sharp + BLUR_PX2 * torch.eye(2, dtype=sharp.dtype, device=sharp.device)

    opacity = torch.sigmoid(gaussians.logit_opacities)
    if antialiased:
        # det(M M^T) as the squared cross product of the rows: never negative, no cancellation (Cauchy-Binet).
        det = torch.linalg.cross(M[:, 0], M[:, 1]).square().sum(-1)
        blurred = det + BLUR_PX2 * (sharp[:, 0, 0] + sharp[:, 1, 1]) + BLUR_PX2**2
        kept = det > 0
        opacity = opacity * torch.where(kept, torch.where(kept, det / blurred, 1.0).sqrt(), 0.0)
    visible = visible & (opacity >= ALPHA_MIN)

    channels = [view_colours(gaussians, T_camera_world, sh_degree), z[:, None]]
    if normals:
        channels.append(camera_normals(gaussians, axes, T_camera_world, camera))
    return Projected(mean, covariance, opacity, z, torch.cat(channels, -1), visible)


def blending_weights(p: Projected, order: Int[Tensor, " M"], pixels: Float[Tensor, "P 2"]) -> Float[Tensor, "P M"]:
    """Alpha times the transmittance before it, of the Gaussians `order` (sorted by depth) at `pixels`."""
    delta = pixels[:, None, :] - p.mean[order][None]
    conic = torch.linalg.inv(p.covariance[order])
    power = -0.5 * torch.einsum("pni,nij,pnj->pn", delta, conic, delta)
    alpha = (p.opacity[order] * power.exp()).clamp_max(ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
    after = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    # Transmittance never grows, so this is the sticky stop: nothing at or behind the Gaussian that would pass
    # it.
    return torch.where(after >= TRANSMITTANCE_MIN, before * alpha, 0.0)


def blend(
    p: Projected, order: Int[Tensor, " M"], pixels: Float[Tensor, "P 2"]
) -> tuple[Float[Tensor, "P C"], Float[Tensor, " P"], Float[Tensor, " P"]]:
    """Front-to-back blending of the Gaussians `order` (sorted by depth) at `pixels`: channels, alpha, median
    depth."""
    weights = blending_weights(p, order, pixels)
    half = (weights.cumsum(1) >= 0.5).to(torch.uint8)
    reached, first = half.max(1)
    median = torch.where(reached > 0, p.depth[order][first], torch.nan)
    return weights @ p.channels[order], weights.sum(1), median


def tiles(
    p: Projected, width: int, height: int, tile_px: int
) -> Iterator[tuple[Int[Tensor, " M"], Float[Tensor, "h w 2"]]]:
    """The tiles of an image, row by row: the Gaussians that reach each, by depth, and its pixel centres."""
    order = torch.argsort(p.depth, stable=True)
    order = order[p.visible[order]]
    with torch.no_grad():
        # The level at which alpha falls to 1/255 bounds each ellipse.
        level = 2 * (p.opacity[order] / ALPHA_MIN).log()
        reach = (level[:, None] * torch.diagonal(p.covariance[order], dim1=1, dim2=2)).sqrt() + 0.01
        low, high = p.mean[order] - reach, p.mean[order] + reach

    def centres(start: int, stop: int) -> Tensor:
        return torch.arange(start, stop, dtype=p.depth.dtype, device=p.depth.device) + 0.5

    for y0 in range(0, height, tile_px):
        y1 = min(y0 + tile_px, height)
        band = ((high[:, 1] >= y0) & (low[:, 1] <= y1)).nonzero()[:, 0]
        for x0 in range(0, width, tile_px):
            x1 = min(x0 + tile_px, width)
            inside = order[band[(high[band, 0] >= x0) & (low[band, 0] <= x1)]]
            ys, xs = torch.meshgrid(centres(y0, y1), centres(x0, x1), indexing="ij")
            yield inside, torch.stack([xs, ys], -1)


def rasterize_reference(
    gaussians: Gaussians,
    T_camera_world: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, " 4"],
    width: int,
    height: int,
    *,
    background: Float[Tensor, " 3"],
    antialiased: bool,
    sh_degree: int,
    near: float,
    normals: bool = False,
    tile_px: int = 16,
) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W"], Float[Tensor, "H W"], Float[Tensor, "H W C"], Tensor]:
    """Image, alpha, accumulated depth, accumulated normals (C is 3 or 0) and median depth, as `rasterize`."""
    p = project(
        gaussians, T_camera_world, intrinsics, width, height,
        antialiased=antialiased, sh_degree=sh_degree, near=near, normals=normals,
    )  # fmt: skip
    parts = []
    for inside, pixels in tiles(p, width, height, tile_px):
        flat = pixels.reshape(-1, 2)
        if len(inside):
            channels, alpha, median = blend(p, inside, flat)
        else:
            channels = p.channels.new_zeros(len(flat), p.channels.shape[1])
            alpha, median = channels[:, 0], torch.full_like(channels[:, 0], torch.nan)
        parts.append(torch.cat([channels, alpha[:, None], median[:, None]], 1).reshape(*pixels.shape[:2], -1))
    columns = -(-width // tile_px)
    rows = [torch.cat(parts[start : start + columns], 1) for start in range(0, len(parts), columns)]
    out = torch.cat(rows, 0)
    alpha = out[..., -2]
    image = out[..., :3] + (1 - alpha)[..., None] * background
    return image, alpha, out[..., 3], out[..., 4:-2], out[..., -1].detach()
