"""Camera poses as parameters: an increment in SO(3) x R3 on a fixed starting pose.

An increment of a camera is `(omega, v)`: the camera turns about its own centre by `exp(omega)` and its centre moves
by `v`, both in the axes of the starting camera. Turning about the centre keeps the two halves nearly independent, so
that one learning rate for each suffices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fewview.recon.scene import Camera

# Keeps the square root differentiable at zero; far below the rounding of any angle that matters.
_TINY = 1e-24


def skew(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The matrix of the cross product: `skew(a) @ b == cross(a, b)`."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def so3_exp(omega: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrix of a rotation vector in radians (Rodrigues), exact and differentiable at zero.

    The factor of the squared term is written with the half angle: `1 - cos` would lose all digits of a small angle.
    """
    angle = (omega.square().sum(-1) + _TINY).sqrt()[..., None, None]
    K = skew(omega)
    first = torch.sinc(angle / torch.pi)
    second = 0.5 * torch.sinc(angle / (2 * torch.pi)).square()
    return torch.eye(3, dtype=omega.dtype, device=omega.device) + first * K + second * (K @ K)


def moved_poses(Ts_camera_world: Float[Tensor, "*B 4 4"], increments: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 4 4"]:
    """World-to-camera poses after their increments `(omega, v)`: `R' = exp(omega) R`, `c' = c + R^T v`.

    With `t = -R c` this gives `t' = exp(omega) (t - v)`, so no inverse is needed.
    """
    R, t = Ts_camera_world[..., :3, :3], Ts_camera_world[..., :3, 3:]
    turn = so3_exp(increments[..., :3])
    top = torch.cat([turn @ R, turn @ (t - increments[..., 3:, None])], -1)
    return torch.cat([top, Ts_camera_world[..., 3:, :]], -2)


class PoseParameters:
    """Poses of V views under optimisation; those in `held` never move (one must not: it fixes the world frame).

    Each view has its own parameter, so that an optimiser leaves alone the views that a step did not render.

    Args:
        Ts_camera_world: (V, 4, 4) starting poses, world to camera.
        length: the scene's typical depth in scene units. The centre moves by `length * v`, so that a step of equal size
            in `omega` and `v` moves the picture by about as much, in any unit.
        held: indices of the views that stay.
    """

    def __init__(
        self,
        Ts_camera_world: Float[np.ndarray, "V 4 4"],
        length: float = 1.0,
        held: Sequence[int] = (0,),
        device: torch.device | str = "cpu",
    ) -> None:
        self._start = torch.as_tensor(np.asarray(Ts_camera_world, np.float64))
        self._start32 = self._start.float().to(device)
        self._units = torch.tensor([1.0, 1.0, 1.0, length, length, length], device=device)
        self.increments = [
            torch.zeros(6, device=device, requires_grad=index not in held) for index in range(len(self._start))
        ]
        """Per view (6,): radians, then centre motion in units of `length`."""

    @property
    def parameters(self) -> list[Tensor]:
        """What an optimiser may move."""
        return [increment for increment in self.increments if increment.requires_grad]

    def view_matrix(self, index: int) -> Float[Tensor, "4 4"]:
        """World to camera of one view, float32, differentiable with respect to its increment."""
        increment = self.increments[index]
        if not increment.requires_grad:
            return self._start32[index]
        return moved_poses(self._start32[index], self._units * increment)

    def poses(self) -> Float[np.ndarray, "V 4 4"]:
        """All poses, world to camera, float64; a held view's is bitwise its starting pose."""
        units = self._units.double().cpu()
        poses = [
            moved_poses(start, units * increment.detach().double().cpu()) if increment.requires_grad else start
            for start, increment in zip(self._start, self.increments, strict=True)
        ]
        return torch.stack(poses).numpy()


class FocalParameters:
    """Focal lengths under optimisation: one factor for all views whose cameras are equal.

    Args:
        cameras: of V views, in pixels.
        refine: False leaves them all as they are.
    """

    def __init__(self, cameras: Sequence[Camera], refine: bool, device: torch.device | str = "cpu") -> None:
        self._intrinsics = [torch.tensor([c.fx, c.fy, c.cx, c.cy], device=device) for c in cameras]
        self._group = [cameras.index(camera) for camera in cameras]
        self._log = {group: torch.zeros(1, device=device, requires_grad=True) for group in set(self._group) if refine}

    @property
    def parameters(self) -> list[Tensor]:
        """What an optimiser may move."""
        return list(self._log.values())

    def intrinsics(self, index: int) -> Float[Tensor, " 4"]:
        """fx, fy, cx, cy of one view, differentiable with respect to its factor."""
        given = self._intrinsics[index]
        if not self._log:
            return given
        return torch.cat([given[:2] * self._log[self._group[index]].exp(), given[2:]])

    def factors(self) -> list[float]:
        """Per view: found over given focal length."""
        return [float(self._log[group].detach().exp()) if self._log else 1.0 for group in self._group]
