"""More Gaussians where the error asks for them, none where nothing is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewview.splatting.gaussians import SH_C0, Gaussians
from fewview.splatting.rasterize import Intrinsics, rasterize
from fewview.splatting.reference import rotation_matrices

LEAST_OPACITY = 0.01
"""What is more transparent is removed."""
SHIFT = 0.6
"""Children of a split lie so many standard deviations to either side along the longest axis."""
SHRINK = 0.7
"""Their longest axis in units of the parent's; 0.8 would keep the second moment, less lets them show more detail."""


@dataclass(frozen=True)
class ViewError:
    """Where one photo is not matched yet."""

    T_camera_world: Float[Tensor, "4 4"]
    camera: Intrinsics
    error: Float[Tensor, "H W"]
    """Mean absolute error of the channels, 0 where masked."""


def attributed_error(gaussians: Gaussians, views: Sequence[ViewError]) -> Float[Tensor, " N"]:
    """Per Gaussian the error of the pixels that it colours, weighted by its share in them; the largest over the views.

    With w_ip the weight of Gaussian i in pixel p and e the error map: max over views of sum_p w_ip e_p (after Rota Bulo
    et al. 2024, eq. 5). The weights are had from the rasteriser as the derivative of a picture by the colours.
    """
    plain = replace(gaussians.detach(), sh=gaussians.means.new_zeros(gaussians.count, 1, 3).requires_grad_())
    most = gaussians.means.new_zeros(gaussians.count)
    for view in views:
        image = rasterize(plain, view.T_camera_world, view.camera).image
        (weighted,) = torch.autograd.grad(image, plain.sh, view.error[..., None].expand_as(image).contiguous())
        most = torch.maximum(most, weighted[:, 0, 0] / SH_C0)
    return most


def chosen(error: Float[Tensor, " N"], alive: Bool[Tensor, " N"], room: int) -> Int[Tensor, " M"]:
    """The Gaussians to split: at most `room`, those of the largest error, in ascending order."""
    count = min(room, int((alive & (error > 0)).sum()))
    order = torch.sort(torch.where(alive, error, -1.0), descending=True, stable=True).indices
    return torch.sort(order[:count]).values


def split(parents: Gaussians) -> tuple[Float[Tensor, "M 3"], Float[Tensor, "M 3"], Float[Tensor, " M"]]:
    """How each parent is replaced by two: the shift of the first child's centre (the second's is its opposite), and the
    log scales and logit opacities of both.

    Two children over one another are as opaque as the parent: (1 - a')^2 = 1 - a.
    """
    longest = parents.log_scales.argmax(1, keepdim=True)
    axes = rotation_matrices(torch.nn.functional.normalize(parents.quats, dim=-1))
    axis = axes.gather(2, longest[:, None].expand(-1, 3, 1))[..., 0]
    shift = SHIFT * parents.log_scales.gather(1, longest).exp() * axis
    shrink = torch.zeros_like(parents.log_scales).scatter(1, longest, float(torch.tensor(SHRINK).log()))
    opacity = torch.sigmoid(parents.logit_opacities).clamp_max(0.999)
    return shift, parents.log_scales + shrink, torch.logit(1 - (1 - opacity).sqrt(), eps=1e-6)
