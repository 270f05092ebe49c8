"""Joints in space from what the cameras saw: seeded by the best pair, other views joined by robust weights."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.bundle import State
from fewview.calibration.solve.lens import Lenses, normalise, project, project_with_derivatives
from fewview.recon.geometry.least_squares import GemanMcClure

_KERNEL = GemanMcClure(3.0)
"""Scale of the Geman-McClure kernel, standard deviations."""
_PARALLAX_DEG = 5.0
"""Rays that meet at less say little of the depth."""
_SWEEPS = 4
_CHUNK = 4096


def triangulate(
    lenses: Lenses,
    R: Float[np.ndarray, "C 3 3"],
    t: Float[np.ndarray, "C 3"],
    xy: Float[np.ndarray, "C N 2"],
    weight: Float[np.ndarray, "C N"],
    sigma: Float[np.ndarray, "C N"],
) -> Float[np.ndarray, "N 3"]:
    """Points in the world; NaN where fewer than two cameras agree.

    Every pair of cameras proposes the midpoint of its rays; the proposal that most cameras support wins and is refined
    on all of them by Gauss-Newton with Geman-McClure weights.

    Args:
        xy: pixels; ignored where `weight` is 0.
        sigma: expected deviation in pixels.
    """
    N = xy.shape[1]
    if N > _CHUNK:
        parts = [
            triangulate(lenses, R, t, xy[:, i : i + _CHUNK], weight[:, i : i + _CHUNK], sigma[:, i : i + _CHUNK])
            for i in range(0, N, _CHUNK)
        ]
        return np.concatenate(parts)
    C = len(R)
    camera = np.arange(C)[:, None]
    uv = normalise(lenses, camera, xy)
    rays = np.einsum("cji,cnj->cni", R, np.concatenate([uv, np.ones((C, N, 1))], axis=2))
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    centers = -np.einsum("cji,cj->ci", R, t)
    best = np.full(N, np.inf)
    points = np.full((N, 3), np.nan)
    for a, b in combinations(range(C), 2):
        both = np.flatnonzero((weight[a] > 0) & (weight[b] > 0))
        if not len(both):
            continue
        X, ok = midpoints(centers[a], rays[a, both], centers[b], rays[b, both])
        cost = _cost(lenses, R, t, X, xy[:, both], weight[:, both], sigma[:, both])
        cost[~ok] = np.inf
        better = cost < best[both]
        best[both[better]] = cost[better]
        points[both[better]] = X[better]
    for _ in range(_SWEEPS):
        points = _gauss_newton(lenses, R, t, points, xy, weight, sigma)
    return points


def triangulate_poses(
    state: State, xy: Float[np.ndarray, "C K J 2"], weight: Float[np.ndarray, "C K J"], sigma: Float[np.ndarray, "C K"]
) -> Float[np.ndarray, "K J 3"]:
    """As `triangulate`, for all joints of poses."""
    C, K, J = weight.shape
    points = triangulate(
        state.lenses,
        state.R,
        state.t,
        xy.reshape(C, -1, 2),
        weight.reshape(C, -1),
        np.repeat(sigma, J, axis=1),
    )
    return points.reshape(K, J, 3)


def midpoints(ca: np.ndarray, da: np.ndarray, cb: np.ndarray, db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rays from two centres; True where they meet in front of both, at an angle."""
    cosine = (da * db).sum(axis=1)
    sine2 = np.maximum(1 - cosine**2, 1e-12)
    w = cb - ca
    wa, wb = da @ w, db @ w
    sa = (wa - cosine * wb) / sine2
    sb = (cosine * wa - wb) / sine2
    X = 0.5 * (ca + sa[:, None] * da + cb + sb[:, None] * db)
    ok = (sa > 0) & (sb > 0) & (sine2 > np.sin(np.radians(_PARALLAX_DEG)) ** 2)
    return X, ok


def _cost(
    lenses: Lenses, R: np.ndarray, t: np.ndarray, X: np.ndarray, xy: np.ndarray, weight: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    inside = np.einsum("cij,nj->cni", R, X) + t[:, None]
    r = (project(lenses, np.arange(len(R))[:, None], inside) - xy) / sigma[..., None]
    r2 = np.where(weight > 0, (r * r).sum(axis=2), 0)
    return (weight * _KERNEL.cost(r2)).sum(axis=0)


def _gauss_newton(
    lenses: Lenses, R: np.ndarray, t: np.ndarray, X: np.ndarray, xy: np.ndarray, weight: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    known = np.isfinite(X[:, 0])
    if not known.any():
        return X
    inside = np.einsum("cij,nj->cni", R, X[known]) + t[:, None]
    P = project_with_derivatives(lenses, np.arange(len(R))[:, None], inside)
    r = (P.xy - xy[:, known]) / sigma[:, known, None]
    r2 = (r * r).sum(axis=2)
    w = weight[:, known] * _KERNEL.weight(r2)
    w[weight[:, known] == 0] = 0
    B = (P.by_point @ R[:, None]) / sigma[:, known, None, None]
    H = np.einsum("cn,cnai,cnaj->nij", w, B, B, optimize=True)
    g = np.einsum("cn,cnai,cna->ni", w, B, np.where(w[..., None] > 0, r, 0), optimize=True)
    H += (1e-6 * np.trace(H, axis1=1, axis2=2) + 1e-12)[:, None, None] * np.eye(3)
    out = X.copy()
    out[known] = X[known] - np.linalg.solve(H, g[..., None])[..., 0]
    return out
