"""The Gaussians as leaf tensors under an optimiser."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from splatting.gaussians import Gaussians


class GaussianParameters:
    """Leaf tensors from which each step's Gaussians are made.

    Centres are stored as offsets from their start in units of a pixel's size at that place, so that one step size fits
    what is near and what is far.

    Args:
        start: N Gaussians.
        unit: size of a training pixel at each of them, scene units.
    """

    def __init__(self, start: Gaussians, unit: Float[Tensor, " N"]) -> None:
        self._origin = start.means.clone()
        self._unit = unit[:, None].clone()
        self.leaves: dict[str, Tensor] = {
            "offset": torch.zeros_like(start.means),
            "quats": start.quats.clone(),
            "log_scales": start.log_scales.clone(),
            "logit_opacities": start.logit_opacities.clone(),
            "sh_constant": start.sh[:, :1].clone(),
            "sh_higher": start.sh[:, 1:].clone(),
        }
        for leaf in self.leaves.values():
            leaf.requires_grad_()

    @property
    def count(self) -> int:
        return len(self._origin)

    def gaussians(self) -> Gaussians:
        """The scene of this step, differentiable with respect to the leaves."""
        leaves = self.leaves
        return Gaussians(
            means=torch.addcmul(self._origin, leaves["offset"], self._unit),
            quats=leaves["quats"],
            log_scales=leaves["log_scales"],
            logit_opacities=leaves["logit_opacities"],
            sh=torch.cat([leaves["sh_constant"], leaves["sh_higher"]], 1),
        )

    @torch.no_grad()
    def normalize(self) -> None:
        """Make the quaternions unit, in place."""
        quats = self.leaves["quats"]
        quats /= quats.norm(dim=1, keepdim=True).clamp_min(1e-12)
