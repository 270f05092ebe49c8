"""Similarities of space, and the one that takes points to others in spite of outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_ROUNDS = 20
_TINY = 1e-12


@dataclass(frozen=True)
class Similarity:
    """x -> scale rotation x + shift."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    def __call__(self, points: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        return self.scale * points @ self.rotation.T + self.shift

    def __matmul__(self, first: Similarity) -> Similarity:
        """`first`, then this."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self(first.shift))

    def inverse(self) -> Similarity:
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -rotation @ self.shift / self.scale)


IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))


def fit_similarity(
    source: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"], weights: Float[np.ndarray, " N"]
) -> Similarity:
    """Takes `source` to `target` with the least sum of w |difference| (Umeyama 1991, reweighted).

    Raises:
        ValueError: fewer than 3 points have weight.
    """
    if (weights > 0).sum() < 3:
        raise ValueError("fewer than 3 points are shared")
    used = weights > 0
    source, target, weights = source[used], target[used], weights[used]
    share, fit = weights, IDENTITY
    for _ in range(_ROUNDS):
        fit = _least_squares(source, target, share / share.sum())
        distance = np.linalg.norm(target - fit(source), axis=1)
        # Near zero the weights are kept alike, so that no few points that fit by chance fix everything.
        share = weights / np.maximum(distance, 0.1 * np.median(distance) + _TINY)
    return fit


def _least_squares(source: np.ndarray, target: np.ndarray, share: np.ndarray) -> Similarity:
    mean_source, mean_target = share @ source, share @ target
    a, b = source - mean_source, target - mean_target
    U, values, Vt = np.linalg.svd((share[:, None] * b).T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    rotation = (U * signs) @ Vt
    scale = float((values * signs).sum() / max(share @ (a**2).sum(axis=1), _TINY))
    return Similarity(scale, rotation, mean_target - scale * rotation @ mean_source)
