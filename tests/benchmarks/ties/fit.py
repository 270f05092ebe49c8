"""Logistic regression of the log-odds of a tie, and how well it tells on scenes that the fit has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import expit

from fewview.recon.matching.sift import Sift
from fewview.recon.matching.tie_odds import SIGNS, tie_measures
from tests.benchmarks.ties.corpus import Tie

RIDGE = {"aliked+lightglue": 1e-2, "sift": 1e-1}
"""Of the squared weights of measures scaled to unit variance, against the mean log-loss of a tie, by matcher: where the
fits that leave a scene out tell best; more of it where scenes are few."""
OLD_SHARE, OLD_LEAST, OLD_SURVIVORS = 0.25, 20, 0.45
"""The rule that the log-odds replaced: so many of the verified matches with a confidence above .8, and no fewer; with
SIFT, so many of all that survive verification."""


@dataclass(frozen=True)
class Sample:
    """What is fitted: ties of known truth."""

    X: Float[np.ndarray, "N D"]
    right: Bool[np.ndarray, " N"]
    weight: Float[np.ndarray, " N"]
    """Right and wrong ties weigh alike in sum, and of either, every scene by the root of its number."""
    scene: np.ndarray
    names: tuple[str, ...]
    ridge: float


def sample(ties: Sequence[Tie]) -> Sample:
    known = [tie for tie in ties if tie.right is not None]
    measures = [tie_measures(tie.evidence) for tie in known]
    names = tuple(measures[0])
    X = np.array([[one[name] for name in names] for one in measures])
    right, scene = np.array([bool(tie.right) for tie in known]), np.array([tie.scene for tie in known])
    weight = np.zeros(len(known))
    for truth in (True, False):
        for name in np.unique(scene):
            group = (right == truth) & (scene == name)
            weight[group] = 1 / np.sqrt(max(group.sum(), 1))
        weight[right == truth] /= 2 * weight[right == truth].sum()
    return Sample(X, right, weight, scene, names, RIDGE[known[0].evidence.matcher])


def fit(data: Sample, train: Bool[np.ndarray, " N"] | None = None) -> dict[str, float]:
    """Weights of maximum likelihood, of the sign that each measure can only have (`SIGNS`)."""
    chosen = np.ones(len(data.X), bool) if train is None else train
    X, y, weight = data.X[chosen], data.right[chosen], data.weight[chosen].copy()
    for truth in (True, False):
        weight[y == truth] /= 2 * weight[y == truth].sum()
    scale = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    penalty = data.ridge * (np.array(data.names) != "bias")

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        logit = X / scale @ w
        value = weight @ (np.logaddexp(0, logit) - y * logit) + penalty @ w**2
        return float(value), (X / scale).T @ (weight * (expit(logit) - y)) + 2 * penalty * w

    bounds = [{1: (0, None), -1: (None, 0), 0: (None, None)}[SIGNS[name]] for name in data.names]
    found = minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return {name: round(float(value), 3) for name, value in zip(data.names, found / scale, strict=True)}


def odds(data: Sample, weights: Mapping[str, float]) -> Float[np.ndarray, " N"]:
    return data.X @ np.array([weights[name] for name in data.names])


def left_out(data: Sample) -> Float[np.ndarray, " N"]:
    """Log-odds of every tie by a fit on the other scenes."""
    out = np.zeros(len(data.X))
    for name in np.unique(data.scene):
        test = data.scene == name
        out[test] = odds(data, fit(data, ~test))[test]
    return out


@dataclass(frozen=True)
class Score:
    """Of log-odds against the truth; right and wrong ties weigh alike in sum."""

    log_loss: float
    auc: float
    wrong_believed: float
    """Share of the wrong ties with log-odds above 0."""
    right_refused: float
    calibration_error: float
    """Expected, over bins of .1."""


def score(data: Sample, log_odds: Float[np.ndarray, " N"]) -> Score:
    y, weight = data.right, data.weight
    p = expit(log_odds)
    order = np.argsort(log_odds, kind="stable")
    below = np.cumsum(np.where(y, 0, weight)[order]) / weight[~y].sum()
    _, mean, right, share = reliability(data, p)
    return Score(
        log_loss=float(weight @ (np.logaddexp(0, log_odds) - y * log_odds) / weight.sum()),
        auc=float((np.where(y, weight, 0)[order] * below).sum() / weight[y].sum()),
        wrong_believed=float(weight[~y & (log_odds > 0)].sum() / weight[~y].sum()),
        right_refused=float(weight[y & (log_odds <= 0)].sum() / weight[y].sum()),
        calibration_error=float(np.nansum(share * np.abs(mean - right))),
    )


def reliability(data: Sample, p: Float[np.ndarray, " N"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per bin of .1: ties, mean probability, share that is right, share of the weight."""
    bins = np.minimum((p * 10).astype(int), 9)
    weight = np.bincount(bins, data.weight, 10)
    with np.errstate(invalid="ignore"):
        return (
            np.bincount(bins, minlength=10),
            np.bincount(bins, data.weight * p, 10) / weight,
            np.bincount(bins, data.weight * data.right, 10) / weight,
            weight / weight.sum(),
        )


def old_rule(ties: Sequence[Tie]) -> Float[np.ndarray, " N"]:
    """1 where the rule that was replaced believed a tie, -1 where not; of ties of known truth."""
    out = []
    for tie in ties:
        if tie.right is not None:
            verified = tie.evidence.verified
            believed = tie.evidence.certain_share * verified >= max(OLD_LEAST, OLD_SHARE * verified)
            if tie.evidence.matcher == Sift.name:
                believed = verified >= max(OLD_LEAST, OLD_SURVIVORS * tie.evidence.raw)
            out.append(1.0 if believed else -1.0)
    return np.array(out)
