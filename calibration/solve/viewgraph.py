"""From relative poses of pairs to poses of all cameras: one hypothesis per pair by agreement, rotation averaging,
centres from directions and body size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.calibration.solve.pairs import RelativePose, angle_deg

_TREES = 100
_TRIPLET_DEG = 5.0
_AGREE_DEG = 8.0
_SWEEPS = 20

Pairs = dict[tuple[int, int], list[RelativePose]]
"""Hypotheses of camera pairs (i, j), i < j: x_j = R x_i + t."""


@dataclass(frozen=True)
class Rotations:
    """Rotations of all cameras, and what each pair contributes."""

    R: Float[np.ndarray, "C 3 3"]
    score: float
    chosen: dict[tuple[int, int], RelativePose]
    """The hypothesis that agrees, for pairs that have one."""
    error_deg: dict[tuple[int, int], float]
    """Of every pair's nearest hypothesis."""


def triplet_errors(pairs: Pairs) -> dict[tuple[int, int], list[float]]:
    """For every hypothesis the median loop error over triplets, each with the best hypotheses of its other sides;
    0 where there is no triplet."""
    cameras = sorted({c for pair in pairs for c in pair})
    errors: dict[tuple[int, int], list[list[float]]] = {pair: [[] for _ in pairs[pair]] for pair in pairs}
    for i, j, k in combinations(cameras, 3):
        sides = [(i, j), (j, k), (i, k)]
        if not all(side in pairs for side in sides):
            continue
        table = np.array(
            [
                [[angle_deg(b.R @ a.R @ c.R.T) for c in pairs[sides[2]]] for b in pairs[sides[1]]]
                for a in pairs[sides[0]]
            ]
        )
        for axis, side in enumerate(sides):
            others = tuple(x for x in range(3) if x != axis)
            for hypothesis, error in enumerate(table.min(axis=others)):
                errors[side][hypothesis].append(float(error))
    return {pair: [float(np.median(e)) if e else 0.0 for e in lists] for pair, lists in errors.items()}


def average_rotations(cameras: list[int], pairs: Pairs, seed: int, keep: int) -> list[Rotations]:
    """Distinct solutions, best first.

    Spanning trees at random, hypotheses with many inliers and small loop errors first; every tree's rotations are
    scored by the pairs that agree with them. The best are refined by robust averaging: L1, then Geman-McClure
    (Chatterji and Govindu 2013).
    """
    random = np.random.default_rng(seed)
    loops = triplet_errors(pairs)
    weights = {}
    for pair, hypotheses in pairs.items():
        closed = np.exp(-((np.array(loops[pair]) / _TRIPLET_DEG) ** 2))
        weights[pair] = np.array([p.inliers for p in hypotheses]) ** 2 * closed + 1e-6
    solutions: list[Rotations] = []
    for _ in range(_TREES):
        R = _tree(cameras, pairs, weights, random)
        solutions.append(_score(R, pairs))
    solutions.sort(key=lambda s: -s.score)
    distinct: list[Rotations] = []
    for solution in solutions:
        if all(_distance_deg(solution.R, other.R) > 2 * _AGREE_DEG for other in distinct):
            refined = _score(_refine(solution.R, pairs), pairs)
            if all(_distance_deg(refined.R, other.R) > _AGREE_DEG for other in distinct):
                distinct.append(refined)
        if len(distinct) >= keep:
            break
    return sorted(distinct, key=lambda s: -s.score)


def _tree(
    cameras: list[int], pairs: Pairs, weights: dict[tuple[int, int], np.ndarray], random: np.random.Generator
) -> np.ndarray:
    n = max(cameras) + 1
    R = np.tile(np.eye(3), (n, 1, 1))
    part = np.arange(n)
    edges = sorted(pairs)
    strength = np.array([weights[e].max() for e in edges])
    order = np.argsort(-np.log(random.uniform(1e-12, 1, len(edges))) / strength**2)
    for e in order:
        i, j = edges[e]
        if part[i] == part[j]:
            continue
        share = weights[i, j] ** 2
        pick = pairs[i, j][int(random.choice(len(share), p=share / share.sum()))]
        # Turn the world of j's part so that R_j = R_ij R_i.
        turn = R[j].T @ pick.R @ R[i]
        members = part == part[j]
        R[members] = R[members] @ turn
        part[members] = part[i]
    return R


def _score(R: np.ndarray, pairs: Pairs) -> Rotations:
    score, chosen, errors = 0.0, {}, {}
    for (i, j), hypotheses in pairs.items():
        error = np.array([angle_deg(p.R @ R[i] @ R[j].T) for p in hypotheses])
        gain = np.array([p.inliers for p in hypotheses]) * np.exp(-((error / _TRIPLET_DEG) ** 2))
        best = int(np.argmax(gain))
        score += float(gain[best])
        errors[i, j] = float(error.min())
        if error[best] < 2 * _AGREE_DEG:
            chosen[i, j] = hypotheses[best]
    return Rotations(R, score, chosen, errors)


def _refine(R: np.ndarray, pairs: Pairs) -> np.ndarray:
    n = len(R)
    for sweep in range(_SWEEPS):
        A = np.zeros((n, n))
        b = np.zeros((n, 3))
        for (i, j), hypotheses in pairs.items():
            # Left updates R <- exp(w) R: R_j' = R_ij R_i' to first order gives w_j - R_ij w_i = log(R_ij R_i R_j^T).
            logs = [Rotation.from_matrix(p.R @ R[i] @ R[j].T).as_rotvec() for p in hypotheses]
            best = int(np.argmin([np.linalg.norm(v) for v in logs]))
            v, p = logs[best], hypotheses[best]
            angle = np.degrees(np.linalg.norm(v))
            w = p.inliers**2 * (1 / max(angle, 0.5) if sweep < 5 else 1 / (1 + (angle / _TRIPLET_DEG) ** 2) ** 2)
            # In world axes (u = R^T w) the update is a plain graph Laplacian.
            u = R[j].T @ v
            A[i, i] += w
            A[j, j] += w
            A[i, j] -= w
            A[j, i] -= w
            b[j] += w * u
            b[i] -= w * u
        x = np.linalg.lstsq(A + 1e-9 * np.eye(n), b, rcond=None)[0]
        R = R @ Rotation.from_rotvec(x).as_matrix()
    return R


def _distance_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of rotations relative to camera 0."""
    return max(angle_deg(x @ a[0].T @ b[0] @ y.T) for x, y in zip(a, b, strict=True))


def place_centers(
    R: Float[np.ndarray, "C 3 3"], chosen: dict[tuple[int, int], RelativePose], baseline: dict[tuple[int, int], float]
) -> Float[np.ndarray, "C 3"]:
    """Centres from directions and lengths of baselines, by least squares with L1-like weights.

    Args:
        baseline: length of each pair's baseline in a common unit.
    """
    n = len(R)
    weight = {pair: p.inliers**2 for pair, p in chosen.items()}
    centers: np.ndarray = np.zeros((n, 3))
    steps = {(i, j): baseline[i, j] * R[j].T @ p.t for (i, j), p in chosen.items()}
    scale = float(np.median(list(baseline.values())))
    for _ in range(_SWEEPS):
        A = 1e-9 * np.eye(n)
        b = np.zeros((n, 3))
        for (i, j), step in steps.items():
            # t is the centre of camera i in camera j's axes.
            w = weight[i, j] / max(float(np.linalg.norm(centers[i] - centers[j] - step)), 0.02 * scale)
            A[i, i] += w
            A[j, j] += w
            A[i, j] -= w
            A[j, i] -= w
            b[i] += w * step
            b[j] -= w * step
        centers = np.linalg.solve(A, b)
        centers -= centers.mean(axis=0)
    return centers
