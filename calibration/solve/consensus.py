"""How far the cameras agree on a joint."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from fewview.calibration.solve.lens import Lenses, project

DECAY = 100.0
"""Per radian of reprojection error: a degree off costs four fifths."""
_PARALLAX_DEG = 10.0
_AGREES = 3.0
"""Standard deviations within which a camera supports a joint."""


def consensus(
    lenses: Lenses,
    R: Float[np.ndarray, "C 3 3"],
    t: Float[np.ndarray, "C 3"],
    points: Float[np.ndarray, "N 3"],
    xy: Float[np.ndarray, "C N 2"],
    weight: Float[np.ndarray, "C N"],
    sigma: Float[np.ndarray, "C N"],
) -> tuple[Float[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Score in [0, 1] and the number of cameras that agree; 0 where the point is NaN.

    The mean over pairs of cameras that see the joint of sqrt(w_i w_j) exp(-100 (e_i + e_j) / 2) min(1, sin(parallax) /
    sin 10 deg), e = reprojection error / focal length (the pairwise score of Kineo, with a decay that notices a few
    pixels, and a penalty for rays that are nearly parallel).
    """
    C, N = weight.shape
    known = np.isfinite(points[:, 0])
    X = np.einsum("cij,nj->cni", R, np.where(known[:, None], points, 0)) + t[:, None]
    camera = np.arange(C)[:, None]
    error = np.linalg.norm(project(lenses, camera, X) - xy, axis=2)
    seen = (weight > 0) & known & (X[..., 2] > 0)
    support = (seen & (error < _AGREES * sigma)).sum(axis=0)
    angle = error / lenses.focal.mean(axis=1)[:, None]
    centers = -np.einsum("cji,cj->ci", R, t)
    rays = np.where(known[:, None], points, 0) - centers[:, None]
    rays /= np.maximum(np.linalg.norm(rays, axis=2, keepdims=True), 1e-12)
    total, pairs = np.zeros(N), np.zeros(N)
    for i, j in combinations(range(C), 2):
        both = seen[i] & seen[j]
        sine = np.linalg.norm(np.cross(rays[i], rays[j]), axis=1)
        gain = np.sqrt(weight[i] * weight[j]) * np.exp(-DECAY * (angle[i] + angle[j]) / 2)
        total += np.where(both, gain * np.minimum(1, sine / np.sin(np.radians(_PARALLAX_DEG))), 0)
        pairs += both
    return np.clip(total / np.maximum(pairs, 1), 0, 1), support
