"""Motions that bring points to others: closed forms, and the loop that makes them robust."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from recon.geometry.pose import Sim3

Model = TypeVar("Model")


def nearest_rotation(M: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The proper rotation R of largest tr(R^T M): nearest to M, and of M = sum w y x^T what best turns x to y."""
    U, _, Vt = np.linalg.svd(M)
    return (U * _proper(U, Vt)) @ Vt


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


def _proper(U: Float[np.ndarray, "3 3"], Vt: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Signs of the singular directions that make a rotation, not a mirror."""
    return np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
