"""One differentiable rasteriser, two back ends: C++ kernels on the CPU, gsplat on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from fewview.splatting._cpu import rasterize_cpu
from fewview.splatting._cuda import rasterize_cuda
from fewview.splatting.gaussians import Gaussians


class Intrinsics(Protocol):
    """A pinhole camera in pixels, such as `fewview.recon.scene.Camera`."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fx(self) -> float: ...
    @property
    def fy(self) -> float: ...
    @property
    def cx(self) -> float: ...
    @property
    def cy(self) -> float: ...


@dataclass
class Rendering:
    """What was seen; w_i is a Gaussian's weight at a pixel: alpha times the transmittance before it."""

    image: Float[Tensor, "H W 3"]
    """sum w_i colour_i + (1 - alpha) background; linear in the colours, not clamped above 1."""
    alpha: Float[Tensor, "H W"]
    """sum w_i."""
    depth: Float[Tensor, "H W"]
    """sum w_i z_i, accumulated z-depth in scene units; divide by `alpha` for the expected depth."""
    normal: Float[Tensor, "H W 3"] | None
    """sum w_i n_i in the camera frame, n_i the thinnest axis turned towards the camera; on request."""
    median_depth: Float[Tensor, "H W"] | None
    """z of the Gaussian at which alpha passes one half, NaN where it never does; on request, no gradient."""


def rasterize(
    gaussians: Gaussians,
    T_camera_world: Float[Tensor, "4 4"],
    camera: Intrinsics,
    *,
    intrinsics: Float[Tensor, " 4"] | None = None,
    background: Float[Tensor, " 3"] | None = None,
    antialiased: bool = False,
    sh_degree: int | None = None,
    near: float = 0.01,
    normals: bool = False,
    median_depth: bool = False,
    threads: int | None = None,
) -> Rendering:
    """Renders `gaussians` through a pinhole camera; gradients flow to them, to the pose and to `intrinsics`.

    The model is that of 3DGS (Kerbl et al. 2023) as gsplat computes it, so our PLY looks the same elsewhere:
    - Covariance J W Sigma W^T J^T + 0.3 px^2 I, J the Jacobian of the projection at the mean (Zwicker et al.
      2001), its x/z and y/z clamped to the image widened by 0.3 tan(fov / 2) on every side.
    - Order: z-depth of the mean, ties by index. Gaussians at z <= `near` are not drawn.
    - alpha_i = min(0.999, opacity exp(-d^T Sigma^-1 d / 2)); pairs under 1/255 are skipped; a pixel stops
      before the Gaussian that would bring its transmittance under 1e-4.
    - `antialiased`: opacity times sqrt(det Sigma / det(Sigma + 0.3 I)) (Yu et al. 2024, eq. 9).
    - Colour max(0, 0.5 + SH(direction)), direction from the camera centre -R^T t to the mean, world frame.
    Pixel centres lie at half-integers.

    Args:
        gaussians: float32, all on one device, which chooses the back end: CPU or CUDA.
        T_camera_world: world to camera (OpenCV axes), rigid; gradients are those of the 12 free entries.
        camera: size and intrinsics in pixels.
        intrinsics: fx, fy, cx, cy in place of the camera's, to refine them; gradients on the CPU only.
        background: RGB constant behind everything, black unless given; receives no gradient.
        sh_degree: highest degree used, that of `gaussians.sh` unless given.
        near: nearest drawn z, scene units.
        normals: also blend normals.
        median_depth: also find the median depth.
        threads: CPU threads, `torch.get_num_threads()` unless given; any number gives the same bits.

    Raises:
        ValueError: wrong shapes or types, NaN or infinite values, or a camera that cannot project; names the tensor.
        EnvironmentFault: the back end for this device is not installed; names the cause and the fix.
    """
    gaussians.check()
    means = gaussians.means
    if means.dtype != torch.float32:
        raise ValueError(f"gaussians.means is {means.dtype}, not torch.float32")
    if intrinsics is None:
        intrinsics = means.new_tensor([camera.fx, camera.fy, camera.cx, camera.cy])
    if background is None:
        background = means.new_zeros(3)
    given = {
        "T_camera_world": (T_camera_world, (4, 4)),
        "intrinsics": (intrinsics, (4,)),
        "background": (background, (3,)),
    }
    for name, (tensor, shape) in given.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, not {shape}")
        if tensor.dtype != torch.float32:
            raise ValueError(f"{name} is {tensor.dtype}, not torch.float32")
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name}: NaN or infinite values")
    if not bool((intrinsics[:2] > 0).all()):
        raise ValueError("intrinsics: the focal lengths are not positive")
    if min(camera.width, camera.height) < 1:
        raise ValueError(f"camera: {camera.width}x{camera.height} is no size of an image")
    degree = gaussians.degree if sh_degree is None else min(sh_degree, gaussians.degree)
    back_end = rasterize_cuda if means.is_cuda else rasterize_cpu
    image, alpha, depth, normal, median = back_end(
        gaussians,
        T_camera_world,
        intrinsics,
        camera.width,
        camera.height,
        background=background,
        antialiased=antialiased,
        sh_degree=degree,
        near=near,
        normals=normals,
        median=median_depth,
        threads=torch.get_num_threads() if threads is None else threads,
    )
    return Rendering(image, alpha, depth, normal, median)
