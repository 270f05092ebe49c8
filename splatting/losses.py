"""How far a rendered view is from its photo: L1 and 1 - SSIM, as in 3DGS (Kerbl et al. 2023, eq. 7)."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fewview.splatting._cpu import library

WINDOW_RADIUS_PX = 5
WINDOW_SIGMA_PX = 1.5
C1, C2 = 0.01**2, 0.03**2


def gaussian_window(like: Tensor) -> Float[Tensor, " 11"]:
    """SSIM's window along one axis, sum 1, in the type and on the device of `like`."""
    x = torch.arange(-WINDOW_RADIUS_PX, WINDOW_RADIUS_PX + 1, dtype=torch.float64)
    window = torch.exp(-0.5 * (x / WINDOW_SIGMA_PX).square())
    return (window / window.sum()).to(like)


def blurred(image: Float[Tensor, "H W C"]) -> Float[Tensor, "H W C"]:
    """Mean under the window; the image is surrounded by zeros."""
    window = gaussian_window(image)
    planes = image.permute(2, 0, 1)[:, None]
    planes = torch.nn.functional.conv2d(planes, window[None, None, :, None], padding=(WINDOW_RADIUS_PX, 0))
    planes = torch.nn.functional.conv2d(planes, window[None, None, None, :], padding=(0, WINDOW_RADIUS_PX))
    return planes[:, 0].permute(1, 2, 0).contiguous()


def ssim_map(
    image: Float[Tensor, "H W C"],
    target: Float[Tensor, "H W C"],
    target_mean: Float[Tensor, "H W C"],
    target_variance: Float[Tensor, "H W C"],
) -> Float[Tensor, "H W C"]:
    """Structural similarity of each pixel and channel (Wang et al. 2004, eq. 13) for values in [0, 1]."""
    mean = blurred(image)
    variance = blurred(image * image) - mean * mean
    covariance = blurred(image * target) - mean * target_mean
    similarity = (2 * mean * target_mean + C1) * (2 * covariance + C2)
    return similarity / ((mean.square() + target_mean.square() + C1) * (variance + target_variance + C2))


class PhotometricLoss:
    """Mean of (1 - s) |x - t| + s (1 - SSIM(x, t)) over pixels and channels, weighted; one for each photo.

    Pixels of weight 0 count as equal to the photo, so what they show leaks into no neighbour's SSIM. The
    photo's own statistics are computed once. On the CPU a fused kernel does it all; elsewhere torch does.

    Args:
        target: the photo, RGB in [0, 1].
        weight: how much each pixel counts, False or 0 for not at all; all alike unless given.
        ssim_weight: s.

    Raises:
        ValueError: shapes do not match, a weight is negative or not finite, or all are 0.
    """

    def __init__(
        self,
        target: Float[Tensor, "H W 3"],
        weight: Bool[Tensor, "H W"] | Float[Tensor, "H W"] | None = None,
        ssim_weight: float = 0.2,
    ) -> None:
        if target.dim() != 3 or target.shape[2] != 3:
            raise ValueError(f"target has shape {tuple(target.shape)}, not (H, W, 3)")
        if weight is not None and weight.shape != target.shape[:2]:
            raise ValueError(f"weight has shape {tuple(weight.shape)}, target {tuple(target.shape)}")
        self._target = target.detach().contiguous()
        self._weight = None if weight is None else weight.detach().to(target).contiguous()
        if self._weight is not None and not bool(((self._weight >= 0) & self._weight.isfinite()).all()):
            raise ValueError("weight: negative, NaN or infinite values")
        pixels = math.prod(target.shape[:2])
        total = pixels if self._weight is None else float(self._weight.double().sum())
        if total == 0:
            raise ValueError("weight: all pixels have weight 0")
        self._scale = 1 / (3 * total)
        self._ssim_weight = ssim_weight
        self._mean = blurred(self._target)
        self._variance = blurred(self._target.square()) - self._mean.square()

    def __call__(self, image: Float[Tensor, "H W 3"], *, threads: int | None = None) -> tuple[Float[Tensor, ""], float]:
        """The loss of a rendered image, and its PSNR in dB over the same pixels (without gradient).

        Args:
            image: the render, linear (not clamped), same type and device as the photo.
            threads: CPU threads, `torch.get_num_threads()` unless given; any number gives the same bits.
        """
        if image.shape != self._target.shape:
            raise ValueError(f"image has shape {tuple(image.shape)}, target {tuple(self._target.shape)}")
        if image.device.type == "cpu" and image.dtype == torch.float32:
            sums = torch.empty(2, dtype=torch.float64)
            threads = torch.get_num_threads() if threads is None else threads
            loss = _Photometric.apply(image, self, sums, threads)  # type: ignore[no-untyped-call]
            error = float(sums[1])
        else:
            loss, error = self.in_torch(image)
        return loss, -10 * math.log10(max(error, 1e-12))

    @torch.no_grad()
    def absolute_error(self, image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
        """Mean absolute error of the channels, 0 where the weight is 0."""
        error = (image - self._target).abs().mean(-1)
        return error if self._weight is None else error * (self._weight > 0)

    def in_torch(self, image: Float[Tensor, "H W 3"]) -> tuple[Float[Tensor, ""], float]:
        """The loss and the mean squared error by autograd, any type and device."""
        weight = torch.ones_like(image[..., :1]) if self._weight is None else self._weight[..., None]
        image = torch.where(weight > 0, image, self._target)
        absolute = (image - self._target).abs()
        similarity = ssim_map(image, self._target, self._mean, self._variance)
        each = (1 - self._ssim_weight) * absolute + self._ssim_weight * (1 - similarity)
        squared = (absolute.detach().square() * weight).sum() * self._scale
        return (each * weight).sum() * self._scale, float(squared)


class _Job(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in (
                "rendered",
                "target",
                "weight",
                "target_mean",
                "target_variance",
                "gradient",
                "row_sums",
            )
        ),
        ("window", ctypes.c_float * (WINDOW_RADIUS_PX + 1)),
        ("ssim_weight", ctypes.c_float),
        ("scale", ctypes.c_float),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
    )


class _Photometric(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, loss: PhotometricLoss, sums: Tensor, threads: int) -> Tensor:
        image = image.contiguous()
        gradient = torch.empty_like(image) if ctx.needs_input_grad[0] else None
        job = _Job(
            rendered=image.data_ptr(),
            target=loss._target.data_ptr(),
            weight=None if loss._weight is None else loss._weight.data_ptr(),
            target_mean=loss._mean.data_ptr(),
            target_variance=loss._variance.data_ptr(),
            gradient=None if gradient is None else gradient.data_ptr(),
            window=tuple(gaussian_window(image)[WINDOW_RADIUS_PX:].tolist()),
            ssim_weight=loss._ssim_weight,
            scale=loss._scale,
            width=image.shape[1],
            height=image.shape[0],
        )
        library().fewview_splatting_photometric(ctypes.byref(job), threads, sums.data_ptr())
        ctx.save_for_backward(gradient)
        return sums[0].float()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        # Mostly the loss is the first summand of a total, and then the factor is 1.
        factor = float(upstream)
        return gradient if factor == 1 else gradient * factor, None, None, None
