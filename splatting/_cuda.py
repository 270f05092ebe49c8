"""The CUDA back end of `fewview.splatting.rasterize`: gsplat (Ye et al. 2024), an optional dependency.

gsplat projects and blends; colours and normals are computed here, so that both back ends and the reference
share one definition of each, and so that the view direction carries gradients to the pose.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor

from fewview.recon.errors import EnvironmentFault
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.reference import camera_normals, rasterize_reference, rotation_matrices, view_colours


@functools.cache
def _try_gsplat() -> ModuleType | EnvironmentFault:
    """gsplat, or why not; asked once, because a failed compilation takes minutes each time."""
    try:
        import gsplat
        from gsplat.cuda._backend import _C
    except ImportError as error:
        return EnvironmentFault(
            f"Gaussians on CUDA need gsplat, which does not load: {error}.",
            "Install the extra `gpu` (pip install 'fewview[gpu]'), or keep the Gaussians on the CPU.",
        )
    if _C is None:
        return EnvironmentFault(
            "gsplat is installed without its CUDA code, and no CUDA toolkit was found to compile it.",
            "Install a CUDA toolkit or a prebuilt gsplat wheel, or keep the Gaussians on the CPU.",
        )
    return gsplat


def cuda_fault() -> EnvironmentFault | None:
    """Why Gaussians cannot be rendered on CUDA here, or None where they can."""
    if not torch.cuda.is_available():
        return EnvironmentFault("There is no CUDA device that torch can use.", "Use --splat.device cpu.")
    gsplat = _try_gsplat()
    return gsplat if isinstance(gsplat, EnvironmentFault) else None


def _check_finite(gaussians: Gaussians) -> None:
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    finite = torch.stack([getattr(gaussians, name).isfinite().all() for name in names]).tolist()
    broken = [f"gaussians.{name}" for name, good in zip(names, finite, strict=True) if not good]
    if broken:
        raise ValueError(f"{' and '.join(broken)}: NaN or infinite values")


def rasterize_cuda(
    gaussians: Gaussians,
    pose: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    background: Tensor,
    antialiased: bool,
    sh_degree: int,
    near: float,
    normals: bool,
    median: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Image, alpha, depth, normal and median depth; arguments as `fewview.splatting.rasterize` checked them."""
    gsplat = _try_gsplat()
    if isinstance(gsplat, EnvironmentFault):
        raise gsplat
    if intrinsics.requires_grad:
        raise ValueError("intrinsics: gsplat has no gradient by them; refine them on the CPU")
    _check_finite(gaussians)
    fx, fy, cx, cy = intrinsics.tolist()
    K = pose.new_tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    quats = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    channels = view_colours(gaussians, pose, sh_degree)
    padding = background
    if normals:
        points = gaussians.means @ pose[:3, :3].T + pose[:3, 3]
        channels = torch.cat([channels, camera_normals(gaussians, rotation_matrices(quats), pose, points)], 1)
        padding = torch.cat([background, background.new_zeros(3)])
    blended, alpha, _ = gsplat.rasterization(
        gaussians.means,
        quats,
        gaussians.log_scales.exp(),
        torch.sigmoid(gaussians.logit_opacities),
        channels,
        pose[None],
        K[None],
        width,
        height,
        near_plane=near,
        packed=False,
        backgrounds=padding[None],
        render_mode="RGB+D",
        rasterize_mode="antialiased" if antialiased else "classic",
    )
    median_depth = None
    if median:
        # gsplat has none. The reference is slow but exact, and median depth is asked for once a view.
        with torch.no_grad():
            median_depth = rasterize_reference(
                gaussians, pose, intrinsics, width, height,
                background=background, antialiased=antialiased, sh_degree=0, near=near,
            )[4]  # fmt: skip
    image, normal = blended[0, ..., :3], blended[0, ..., 3:6] if normals else None
    return image, alpha[0, ..., 0], blended[0, ..., -1], normal, median_depth
