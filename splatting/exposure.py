"""Per-photo exposure and white balance: what differs between photos but not in the scene."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Exposure:
    """A gain and an offset per photo and channel: photo = exp(log_gain) render + offset.

    Their mean over the photos stays zero, so that the splats keep the photos' average look, which is also what a new
    view is rendered with.
    """

    def __init__(self, views: int, device: torch.device | str = "cpu") -> None:
        self.log_gain = [torch.zeros(3, device=device, requires_grad=True) for _ in range(views)]
        self.offset = [torch.zeros(3, device=device, requires_grad=True) for _ in range(views)]

    @property
    def parameters(self) -> list[Tensor]:
        return [*self.log_gain, *self.offset]

    def apply(self, image: Float[Tensor, "H W 3"], view: int) -> Float[Tensor, "H W 3"]:
        """The render as this photo's exposure would show it."""
        return torch.addcmul(self.offset[view], image, self.log_gain[view].exp())

    def penalty(self, view: int) -> Float[Tensor, ""]:
        """Mean square of a photo's parameters, so weighted that they take up differences between the photos but not
        what the scene could show as well."""
        return 2 * (self.log_gain[view].square().mean() + self.offset[view].square().mean())

    @torch.no_grad()
    def pin_mean(self) -> None:
        """Take the mean over the photos out, in place."""
        for group in (self.log_gain, self.offset):
            mean = torch.stack(group).mean(0)
            for parameter in group:
                parameter -= mean

    def values(self) -> list[dict[str, list[float]]]:
        """Per photo: `gain` and `offset`, RGB."""
        return [
            {"gain": gain.exp().tolist(), "offset": offset.tolist()}
            for gain, offset in zip(self.log_gain, self.offset, strict=True)
        ]
