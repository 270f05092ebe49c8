"""The scene as 3D Gaussians: plain tensors, with the units and frames that all of `splatting` agrees on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

SH_C0 = 0.5 / math.sqrt(math.pi)
"""The constant spherical harmonic: colour = 0.5 + SH_C0 * sh[:, 0] where higher degrees are zero."""

_COEFFICIENTS = {1: 0, 4: 1, 9: 2, 16: 3}


@dataclass
class Gaussians:
    """N anisotropic Gaussians as in 3DGS (Kerbl et al. 2023), unconstrained parameters."""

    means: Float[Tensor, "N 3"]
    """Centres, world frame, scene units."""
    quats: Float[Tensor, "N 4"]
    """wxyz, rotates the Gaussian's axes into the world; normalised inside the rasteriser, stored unit."""
    log_scales: Float[Tensor, "N 3"]
    """Natural logarithm of the standard deviations along the Gaussian's axes."""
    logit_opacities: Float[Tensor, " N"]
    """Opacity = sigmoid(logit)."""
    sh: Float[Tensor, "N K 3"]
    """Spherical harmonics of the colour by world direction (camera centre to mean), K = (degree + 1)^2, RGB:
    colour = max(0, 0.5 + SH . c)."""

    @property
    def count(self) -> int:
        return self.means.shape[0]

    @property
    def degree(self) -> int:
        """Degree of the stored spherical harmonics, 0 to 3."""
        return _COEFFICIENTS[self.sh.shape[1]]

    def check(self) -> None:
        """Raises ValueError, naming the tensor, where a shape or type is wrong or the tensors live apart."""
        n = self.count
        shapes = {"means": (n, 3), "quats": (n, 4), "log_scales": (n, 3), "logit_opacities": (n,)}
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"gaussians.{name} has shape {tuple(getattr(self, name).shape)}, not {shape}")
        sh = tuple(self.sh.shape)
        if len(sh) != 3 or sh[0] != n or sh[1] not in _COEFFICIENTS or sh[2] != 3:
            raise ValueError(f"gaussians.sh has shape {sh}, not ({n}, K, 3) with K in {sorted(_COEFFICIENTS)}")
        for name in (*shapes, "sh"):
            tensor = getattr(self, name)
            if tensor.dtype != self.means.dtype or tensor.device != self.means.device:
                raise ValueError(
                    f"gaussians.{name} is {tensor.dtype} on {tensor.device}, "
                    f"gaussians.means is {self.means.dtype} on {self.means.device}"
                )

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussians:
        """`function` applied to each tensor, such as `lambda t: t[keep]` or `torch.Tensor.detach`."""
        return replace(self, **{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def detach(self) -> Gaussians:
        return self.map(Tensor.detach)

    def to(self, *args: object, **kwargs: object) -> Gaussians:
        """Each tensor's `Tensor.to`."""
        return self.map(lambda t: t.to(*args, **kwargs))  # type: ignore[call-overload]

    def requires_grad_(self, mode: bool = True) -> Gaussians:
        return self.map(lambda t: t.requires_grad_(mode))

    def normalized(self) -> Gaussians:
        """The same scene with unit quaternions."""
        return replace(self, quats=torch.nn.functional.normalize(self.quats, dim=-1))
