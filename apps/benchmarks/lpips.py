"""LPIPS (Zhang et al. 2018), version 0.1 with the VGG-16 backbone: distance of images as networks see
them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from fewview.recon.io.weights import fetch
from fewview.recon.progress import Progress

_CONVOLUTIONS_PER_BLOCK = (2, 2, 3, 3, 3)
_SMALLEST_SIDE = 16
"""Four poolings leave one pixel of it."""


class Lpips:
    """The metric, ready to measure; takes some 60 MB.

    Args:
        weights: safetensors file of `fewview.recon.io.weights.fetch("lpips-vgg16", ...)`; kernels are (height, width,
        in, out).
    """

    def __init__(self, weights: Path) -> None:
        from safetensors.numpy import load_file

        tensors = load_file(weights)
        count = sum(_CONVOLUTIONS_PER_BLOCK)
        self._kernels = [
            torch.from_numpy(tensors[f"VGG16_0.Conv_{i}.kernel"]).permute(3, 2, 0, 1).contiguous() for i in range(count)
        ]
        self._biases = [torch.from_numpy(tensors[f"VGG16_0.Conv_{i}.bias"]) for i in range(count)]
        blocks = range(len(_CONVOLUTIONS_PER_BLOCK))
        self._heads = [torch.from_numpy(tensors[f"NetLinLayer_{i}.Conv_0.kernel"]).reshape(-1) for i in blocks]
        # The paper's `ScalingLayer`: images in [-1, 1] to the statistics that the backbone was trained with.
        self._shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
        self._scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]

    def __call__(self, truth: Float[np.ndarray, "H W 3"], image: Float[np.ndarray, "H W 3"]) -> float:
        """Distance of two RGB images in [0, 1]: eq. 1 of the paper, 0 for equal images, symmetric.

        Raises:
            ValueError: the images differ in size or are smaller than 16 pixels.
        """
        if truth.shape != image.shape:
            raise ValueError(f"cannot compare images of shape {truth.shape} and {image.shape}")
        return self.distance(self.features(truth), self.features(image))

    @torch.no_grad()
    def features(self, image: Float[np.ndarray, "H W 3"]) -> list[Float[Tensor, "C h w"]]:
        """Unit activations at the end of each block (relu1_2, relu2_2, relu3_3, relu4_3, relu5_3)."""
        if min(image.shape[:2]) < _SMALLEST_SIDE:
            raise ValueError(f"an image of shape {image.shape} is too small for LPIPS")
        rgb = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)
        x = ((2 * rgb - 1 - self._shift) / self._scale)[None]
        out, layer = [], 0
        for block, convolutions in enumerate(_CONVOLUTIONS_PER_BLOCK):
            if block:
                x = functional.max_pool2d(x, 2)
            for _ in range(convolutions):
                x = functional.conv2d(x, self._kernels[layer], self._biases[layer], padding=1).relu_()
                layer += 1
            out.append(x[0] / (x[0].norm(dim=0, keepdim=True) + 1e-10))
        return out

    @torch.no_grad()
    def distance(self, a: list[Float[Tensor, "C h w"]], b: list[Float[Tensor, "C h w"]]) -> float:
        """Distance of two images by their `features`, to compare several images with one."""
        total = 0.0
        for head, x, y in zip(self._heads, a, b, strict=True):
            total += float(torch.einsum("c,chw->hw", head, (x - y).square()).double().mean())
        return total


def load_lpips(progress: Progress) -> Lpips:
    """Fetch the weights (once, 64 MB) and build the metric.

    Raises:
        EnvironmentFault: they are not in the cache and no package index can be reached.
    """
    return Lpips(fetch("lpips-vgg16", progress))
