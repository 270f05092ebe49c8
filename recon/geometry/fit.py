"""Motions that bring points to others: closed forms, and the loop that makes them robust."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.pose import Sim3

Model = TypeVar("Model")


_ROUNDS = 20
_TINY = 1e-12


def nearest_rotation(M: Float[np.ndarray, "*N 3 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """The proper rotation R of largest tr(R^T M): nearest to M, and of M = sum w y x^T what best turns x to y."""
    U, _, Vt = np.linalg.svd(M)
    return (U * _proper(U, Vt)[..., None, :]) @ Vt


def fit_sim3(
    source: Float[np.ndarray, "N 3"],
    target: Float[np.ndarray, "N 3"],
    weights: Float[np.ndarray, " N"] | None = None,
) -> Sim3:
    """Takes `source` to `target` with the least sum of w |difference|^2 (Umeyama 1991, equations 40 to 42).

    The rotation is proper: mirrored points cannot be aligned. The scale is 1 where all source points are one.
    """
    share = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    mean_source, mean_target = share @ source, share @ target
    a, b = source - mean_source, target - mean_target
    U, values, Vt = np.linalg.svd((share[:, None] * b).T @ a)
    signs = _proper(U, Vt)
    R, spread = (U * signs) @ Vt, float(share @ (a**2).sum(axis=1))
    scale = float((values * signs).sum()) / spread if spread > 0 else 1.0
    return Sim3(scale, R, mean_target - scale * R @ mean_source)


def fit_rigid(source: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"]) -> Sim3:
    """As `fit_sim3` with a scale of 1 (Kabsch 1976)."""
    R = fit_sim3(source, target).R
    return Sim3(1.0, R, target.mean(0) - R @ source.mean(0))


def fit_sim3_robustly(
    source: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"], weights: Float[np.ndarray, " N"]
) -> Sim3:
    """Takes `source` to `target` with the least sum of w |difference|, in spite of outliers.

    Raises:
        ValueError: fewer than 3 points have weight.
    """
    used = weights > 0
    if used.sum() < 3:
        raise ValueError("fewer than 3 points are shared")
    source, target, weights = source[used], target[used], weights[used]

    def weigh(fit: Sim3) -> Float[np.ndarray, " N"]:
        distance = np.linalg.norm(target - fit(source), axis=1)
        # Near zero the weights are kept alike, so that no few points that fit by chance fix everything.
        return weights / np.maximum(distance, 0.1 * np.median(distance) + _TINY)

    return reweighted(lambda share: fit_sim3(source, target, share), weigh, weights, _ROUNDS)


def reweighted(
    fit: Callable[[Float[np.ndarray, "*N"]], Model],
    weigh: Callable[[Model], Float[np.ndarray, "*N"]],
    weights: Float[np.ndarray, "*N"],
    rounds: int,
) -> Model:
    """Iteratively reweighted least squares.

    Args:
        fit: the model for given weights.
        weigh: the weights of the next round, from the residuals of a model.
        weights: of the first round.
        rounds: how often to fit, at least once.
    """
    model = fit(weights)
    for _ in range(rounds - 1):
        model = fit(weigh(model))
    return model


def _proper(U: Float[np.ndarray, "*N 3 3"], Vt: Float[np.ndarray, "*N 3 3"]) -> Float[np.ndarray, "*N 3"]:
    """Signs of the singular directions that make a rotation, not a mirror."""
    last = np.sign(np.linalg.det(U) * np.linalg.det(Vt))
    return np.stack([np.ones_like(last), np.ones_like(last), last], -1)
