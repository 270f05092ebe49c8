"""The Gaussians as leaf tensors under an optimiser."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewview.splatting.density import split
from fewview.splatting.gaussians import Gaussians


class GaussianParameters:
    """Leaf tensors from which each step's Gaussians are made.

    Centres are stored as offsets from their start in units of a pixel's size at that place, so that one step size fits
    what is near and what is far.

    Args:
        start: N Gaussians.
        unit: length by which one unit of a centre's offset moves it, scene units.
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

    @torch.no_grad()
    def blunt(self, ratio: float) -> None:
        """Shorten longest axes to at most `ratio` times the second longest, in place."""
        logs = self.leaves["log_scales"]
        longest, shortest = logs.amax(1), logs.amin(1)
        second = logs.sum(1) - longest - shortest
        torch.minimum(logs, (second + torch.tensor(ratio).log())[:, None], out=logs)

    @torch.no_grad()
    def restructure(
        self, optimizer: torch.optim.Optimizer, alive: Bool[Tensor, " N"], parents: Int[Tensor, " M"]
    ) -> None:
        """Drop what is not `alive` and split `parents` (which are) in two, under the optimiser's feet.

        The first child takes its parent's place and Adam's moments; the second comes at the end and starts without.
        """
        scene = self.gaussians().map(lambda tensor: tensor[parents])
        shift, log_scales, logit_opacities = split(scene)
        shift /= self._unit[parents]
        offset = self.leaves["offset"][parents]
        # What a split changes, for the first children and the second.
        changed = {
            "offset": (offset + shift, offset - shift),
            "log_scales": (log_scales, log_scales),
            "logit_opacities": (logit_opacities, logit_opacities),
        }
        first = (torch.cumsum(alive, 0) - 1)[parents]
        kept = int(alive.sum())
        for name, old in self.leaves.items():
            new = torch.cat([old[alive], old[parents]])
            if name in changed:
                new[first], new[kept:] = changed[name]
            self.leaves[name] = new.requires_grad_()
            _replace(optimizer, old, new, alive, len(parents))
        self._origin = torch.cat([self._origin[alive], self._origin[parents]])
        self._unit = torch.cat([self._unit[alive], self._unit[parents]])


def _replace(
    optimizer: torch.optim.Optimizer, old: Tensor, new: Tensor, alive: Bool[Tensor, " N"], children: int
) -> None:
    for group in optimizer.param_groups:
        group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
    state = optimizer.state.pop(old, {})
    for name in ("exp_avg", "exp_avg_sq"):
        if name in state:
            moments = state[name][alive]
            state[name] = torch.cat([moments, moments.new_zeros(children, *moments.shape[1:])])
    if state:
        optimizer.state[new] = state
