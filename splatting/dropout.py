"""Dropout of Gaussians: a training step draws a random part of them, so that none leans on its neighbours.

Gaussians along a ray can share out a photo's colour among them in ways that hold from that photo's place alone (Chen et
al. 2025, "Quantifying and alleviating co-adaptation"). Where any of them may be missing, each must be right by itself
(Park et al. 2025, "DropGaussian").
"""

from __future__ import annotations

from dataclasses import replace

import torch

from fewview.splatting.gaussians import Gaussians

_NEVER_DRAWN = -20.0
"""Logit of an opacity that no back end draws: far below 1/255."""


def dropped_out(gaussians: Gaussians, share: float, random: torch.Generator) -> Gaussians:
    """About `share` of the Gaussians made invisible, the others more opaque to make up for it; all where `share` is 0.

    The optical depth -log(1 - opacity) of those that stay grows by 1 / (1 - share), so that its expectation stays what
    it was. With s the softplus, that of a logit x is s(x): the new logit is s^-1(s(x) / (1 - share)), which has a slope
    everywhere. (Opacities themselves times 1 / (1 - share), as published, have none once they reach 1.)

    Args:
        gaussians: on any device.
        share: at least 0, less than 1.
        random: on the CPU, whose draws are the same for every device.
    """
    if not share:
        return gaussians
    logits = gaussians.logit_opacities
    dropped = (torch.rand(len(logits), generator=random) < share).to(logits.device)
    depth = torch.nn.functional.softplus(logits) / (1 - share)
    opaque = depth + torch.log(-torch.expm1(-depth))
    return replace(gaussians, logit_opacities=opaque.masked_fill(dropped, _NEVER_DRAWN))
