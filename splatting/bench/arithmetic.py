"""How much of the machine's arithmetic the blending kernels use."""

from __future__ import annotations

import time

import torch

from fewview.splatting.bench.scenes import CAMERA, SCENES, view_poses
from fewview.splatting.reference import blending_weights, project, tiles

# Floating-point operations that one pixel and one Gaussian need at degree-5 accuracy of the exponential, with red,
# green, blue and depth as channels. What else a kernel does (index arithmetic, masks, lanes of pixels that the
# Gaussian does not reach, doing the forward part again on the way back) is not useful work.
EXPONENT_FLOPS = 5
"""Offset along the row (1), base + bend dx^2 (3), cap at the largest alpha (1)."""
EXPONENTIAL_FLOPS = 13
"""Rounding to an integer (3) and a polynomial of degree 5 (10)."""
FORWARD_FLOPS = EXPONENT_FLOPS + EXPONENTIAL_FLOPS + 2 + 2 * 4
"""Then weight (1), transmittance (1), and a multiplication and an addition a channel."""
BACKWARD_FLOPS = 2 * 4 + 2 * 4 + 2 + 4 + 1 + 5 + 6
"""Gradient . channels (8), gradients by channel (8), what is still to come (2), gradient by alpha (4), by its logarithm
(1), and its moments: products (5) and sums (6)."""


def blended_pairs(count: int, scene: str) -> int:
    """Pairs of a pixel and a Gaussian that contributes to it, in the first view; counted by the plain reference."""
    gaussians = SCENES[scene](count)
    K = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
    with torch.no_grad():
        p = project(
            gaussians, view_poses()[0], K, CAMERA.width, CAMERA.height,
            antialiased=False, sh_degree=0, near=0.01, normals=False,
        )  # fmt: skip
        return sum(
            int((blending_weights(p, inside, pixels.reshape(-1, 2)) > 0).sum())
            for inside, pixels in tiles(p, CAMERA.width, CAMERA.height, 16)
            if len(inside)
        )


def peak_gflops(size: int = 1536, rounds: int = 8) -> float:
    """The fastest product of two square float32 matrices, in 10^9 operations a second: what a tuned library gets out
    of the cores that torch uses, with the widest vectors that they have."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9
