"""Brings true cameras into the world of estimated ones, so that a photo left out can be rendered from its
true place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.fit import nearest_rotation
from fewview.recon.geometry.pose import Sim3

Poses = Float[np.ndarray, "N 4 4"]

_ROUNDS = 60
_TURN_PRIOR = 0.1
"""How many cameras' worth of belief that the estimate's axes are not turned against the lens."""


@dataclass(frozen=True)
class Alignment:
    """Takes a true camera-to-world pose (R, c) to the estimate's: (world.R R turn, world(c))."""

    world: Sim3
    turn: Float[np.ndarray, "3 3"]
    """A rotation of all cameras about their own centres. Estimates whose principal point is off by some
    pixels are turned by as many pixels' angle, and show the same pictures: it is no error of the poses."""

    def poses(self, Ts_world_camera: Poses) -> Poses:
        """The poses in the world of the estimate."""
        out = Ts_world_camera.copy()
        out[:, :3, :3] = self.world.R @ Ts_world_camera[:, :3, :3] @ self.turn
        out[:, :3, 3] = self.world(Ts_world_camera[:, :3, 3])
        return out


def align(truth: Poses, estimate: Poses) -> Alignment:
    """The similarity of world frames, and the common turn, that explain rotations and centres together.

    Centres alone leave the rotation undetermined for two cameras and ill-determined for cameras in a row;
    rotations alone leave scale and shift. Minimised is, with centred centres of unit root mean square a_i and
    b_i,

        sum_i w_i (|b_i - s R a_i|^2 + |R_i' - R R_i D|^2 / 2) + k |D - I|^2 / 2

    by turns over R and D (Procrustes) and s. The weights w_i = 1 / (1 + (r_i / median r)^2), r_i^2 being the
    bracket, keep a camera that went astray from pulling the others along (reweighted least squares, Cauchy).

    Args:
        truth, estimate: camera to world of the same N >= 2 cameras whose centres are not all in one place.

    Raises:
        ValueError: fewer than 2 cameras, or all centres of one list coincide.
    """
    if truth.shape != estimate.shape or len(truth) < 2:
        raise ValueError(f"cannot align {len(truth)} with {len(estimate)} cameras")
    rotations, rotations_estimate = truth[:, :3, :3], estimate[:, :3, :3]
    weights, turn, scale = np.ones(len(truth)), np.eye(3), 1.0
    for _ in range(_ROUNDS):
        share = weights / weights.sum()
        a, mean_a, size_a = _normalised(truth[:, :3, 3], share)
        b, mean_b, size_b = _normalised(estimate[:, :3, 3], share)
        turned = rotations @ turn
        moment = np.einsum("n,ni,nj->ij", weights, b, a)
        moment += 0.5 * np.einsum("n,nik,njk->ij", weights, rotations_estimate, turned)
        rotation = nearest_rotation(moment)
        scale = float(np.einsum("n,ni,ni->", share, b, a @ rotation.T))
        from_rotations = np.einsum("n,nki,nkj->ij", weights, rotation @ rotations, rotations_estimate)
        turn = nearest_rotation(from_rotations + _TURN_PRIOR * np.eye(3))
        residual = ((b - scale * a @ rotation.T) ** 2).sum(1)
        residual += ((rotations_estimate - rotation @ rotations @ turn) ** 2).sum((1, 2)) / 2
        weights = 1 / (1 + residual / max(float(np.median(residual)), 1e-16))
    if scale <= 0:
        raise ValueError("the rotations and the centres contradict each other: no similarity fits")
    scale *= size_b / size_a
    return Alignment(Sim3(scale, rotation, mean_b - scale * rotation @ mean_a), turn)


def _normalised(
    centers: Float[np.ndarray, "N 3"], share: Float[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " 3"], float]:
    """Centred and of unit root mean square (both weighted), the mean, the size that was divided by."""
    mean = share @ centers
    size = float(np.sqrt(share @ ((centers - mean) ** 2).sum(1)))
    if size == 0:
        raise ValueError("all camera centres are in one place: they fix no scale")
    return (centers - mean) / size, mean, size
