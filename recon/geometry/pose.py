"""Rigid motions (4x4 matrices, `T_to_from`) and similarities of space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From our worlds, which have y down, to those with z up, such as rooms, Pose2Sim's and C3D's."""
Y_UP = np.diag([1.0, -1.0, -1.0])
"""To those with y up, such as OpenSim's and glTF's."""


def rigid(R: Float[np.ndarray, "3 3"], t: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "4 4"]:
    """The motion x -> R x + t."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def invert_rigid(T: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Inverse of a rigid motion."""
    return rigid(T[:3, :3].T, -T[:3, :3].T @ T[:3, 3])


def transform(T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
    """Points after a rigid motion."""
    return points @ T[:3, :3].T + T[:3, 3]


def skew(v: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """[v]x, the matrix with [v]x w = v x w."""
    return np.cross(v[..., None, :], -np.eye(3))


@dataclass(frozen=True)
class Sim3:
    """The similarity x -> scale R x + t."""

    scale: float
    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, " 3"]

    @staticmethod
    def identity() -> Sim3:
        return Sim3(1.0, np.eye(3), np.zeros(3))

    def __call__(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        return self.scale * points @ self.R.T + self.t

    def __matmul__(self, first: Sim3) -> Sim3:
        """`first`, then this."""
        return Sim3(self.scale * first.scale, self.R @ first.R, self(first.t))

    def inverse(self) -> Sim3:
        return Sim3(1 / self.scale, self.R.T, -self.R.T @ self.t / self.scale)
