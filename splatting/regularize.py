"""What is asked of the Gaussians beyond looking like the photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

MIN_ALPHA = 0.2
"""Where less is seen, the depth and the normal of what is seen mean nothing."""


@dataclass(frozen=True)
class SurfacePrior:
    """What the depth stage verified in one view, at the size of its training image."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth, scene units; any positive value where `weight` is zero."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera; zero where unknown."""
    weight: Float32[np.ndarray, "H W"]
    """Confidence of verified pixels, zero elsewhere."""


class SurfaceLoss:
    """Relative error of the rendered depth, and error of the rendered normals, where the depth stage verified them.

    With w the confidence, z and m the verified, d and n the rendered depth and normal: `depth` is the mean of
    w min(|d / z - 1|, limit), `normal` that of w (1 - n . m). Beyond the limit one of the two depths is wrong and which
    is not known, so there is no pull.
    """

    limit = 0.1

    def __init__(self, prior: SurfacePrior, device: torch.device | str = "cpu") -> None:
        self._inverse = torch.from_numpy(1 / prior.depth).to(device)
        self._normal = torch.from_numpy(prior.normal).to(device)
        self._weight = torch.from_numpy(prior.weight / max(prior.weight.size, 1)).to(device)

    def depth(self, accumulated: Float[Tensor, "H W"], alpha: Float[Tensor, "H W"]) -> Float[Tensor, ""]:
        """
        Args:
            accumulated: `Rendering.depth`.
            alpha: `Rendering.alpha`.
        """
        error = (accumulated / alpha.clamp_min(MIN_ALPHA) * self._inverse - 1).abs()
        return (error.clamp_max(self.limit) * self._weighted(alpha)).sum()

    def normal(self, accumulated: Float[Tensor, "H W 3"], alpha: Float[Tensor, "H W"]) -> Float[Tensor, ""]:
        """
        Args:
            accumulated: `Rendering.normal`.
            alpha: `Rendering.alpha`.
        """
        cosine = (accumulated * self._normal).sum(-1) / alpha.detach().clamp_min(MIN_ALPHA)
        known = self._normal.square().sum(-1) > 0
        return ((1 - cosine) * known * self._weighted(alpha)).sum()

    def _weighted(self, alpha: Float[Tensor, "H W"]) -> Float[Tensor, "H W"]:
        return self._weight * (alpha.detach() > MIN_ALPHA)
