"""What is asked of the Gaussians beyond looking like the photos."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor


class DepthLoss:
    """Mean relative error of the rendered depth where the depth stage verified it.

    With w the confidence, z the verified and d the rendered depth: mean of w min(|d / z - 1|, limit). Beyond the limit
    one of the two is wrong and which is not known, so there is no pull.

    Args:
        depth: z-depth, scene units; any positive value where `weight` is zero.
        weight: confidence of verified pixels, zero elsewhere.
    """

    limit = 0.1
    min_alpha = 0.2
    """Where less is seen, the depth of what is seen means nothing."""

    def __init__(self, depth: Float32[np.ndarray, "H W"], weight: Float32[np.ndarray, "H W"]) -> None:
        self._inverse = torch.from_numpy(1 / depth)
        self._weight = torch.from_numpy(weight / max(weight.size, 1))

    def __call__(self, accumulated: Float[Tensor, "H W"], alpha: Float[Tensor, "H W"]) -> Float[Tensor, ""]:
        """
        Args:
            accumulated: `Rendering.depth`.
            alpha: `Rendering.alpha`.
        """
        error = (accumulated / alpha.clamp_min(self.min_alpha) * self._inverse - 1).abs()
        weight = self._weight * (alpha.detach() > self.min_alpha)
        return (error.clamp_max(self.limit) * weight).sum()
