"""Descent on the objective of the global alignment: reweighted Gauss-Newton steps, the depths eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from recon.geometry.pose import Sim3, invert_rigid, skew, transform
from recon.priors.pairs import PointmapPair

_ROUNDS = 40
_SETTLED = 1e-5
"""Relative decrease of the objective that ends the descent."""
_STRAY = 5.0
"""In median distances: what is further off is a stray."""
_EXACT = 1e-6
"""In depths: what is as near is no stray, however near the others are."""
_FLAT = 0.1
"""In median distances: below, a distance counts by its square, so that the objective has a derivative."""


@dataclass(frozen=True)
class Alignment:
    """Cameras, and what takes each pair into their world."""

    Ts_world_camera: Float[np.ndarray, "N 4 4"]
    focals: Float[np.ndarray, " N"]
    """Pixels of the originals."""
    fits: list[Sim3]
    """One a pair."""


def refine_alignment(start: Alignment, pairs: Sequence[PointmapPair]) -> Alignment:
    """The minimum next to `start` of the objective of `recon.priors.alignment.align_pairs`.

    It is then sought again without strays: these pull with a bounded force, but all to one side, towards the camera.
    """
    views = [_View(start, pairs, view) for view in range(len(start.focals))]
    depths = [view.depths for view in views]
    now, depths = _descend(start, depths, views)
    for view, depth in zip(views, depths, strict=True):
        distance = view.distances(now, depth)
        limit = _STRAY * np.median(distance[view.weights > 0]) + _EXACT * np.median(depth)
        view.weights = np.where(distance < limit, view.weights, 0.0)
    return _descend(now, depths, views)[0]


def _descend(
    now: Alignment, depths: list[np.ndarray], views: Sequence[_View]
) -> tuple[Alignment, list[Float[np.ndarray, " S"]]]:
    damping, value = 1e-3, _cost(now, depths, views)
    for _ in range(_ROUNDS):
        step, by_depth = _step(now, depths, views, damping)
        candidate = _apply(now, step)
        moved = [depth * np.exp(np.clip(change, -1, 1)) for depth, change in zip(depths, by_depth, strict=True)]
        new_value = _cost(candidate, moved, views)
        if new_value < value:
            settled = value - new_value < _SETTLED * value
            now, depths, value, damping = candidate, moved, new_value, max(damping / 5, 1e-9)
            if settled:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    return now, depths


class _View:
    """The pixels of one photo and what its pairs say of them."""

    def __init__(self, start: Alignment, pairs: Sequence[PointmapPair], view: int) -> None:
        self.index = view
        self.pairs = [k for k, pair in enumerate(pairs) if view in (pair.i, pair.j)]
        maps = [pairs[k].seen_by(view) for k in self.pairs]
        weights = np.stack([each.weights.ravel() for each in maps])
        used = weights.any(axis=0)
        self.grid = maps[0].pixels.reshape(-1, 2)[used]
        self.points = np.stack([each.points.reshape(-1, 3)[used] for each in maps])
        self.weights = weights[:, used]
        self.depths = depth_of(start, pairs, view)[0].ravel()[used]

    def residuals(
        self, now: Alignment, depths: Float[np.ndarray, " S"]
    ) -> tuple[Float[np.ndarray, "S 3"], Float[np.ndarray, "K S 3"], Float[np.ndarray, "K S 3"]]:
        """Points in the camera's frame; points of the pairs, turned and scaled; world point less the pairs' points."""
        local = depths[:, None] * np.column_stack([self.grid / now.focals[self.index], np.ones(len(depths))])
        world = transform(now.Ts_world_camera[self.index], local)
        turned = np.stack([now.fits[k](p) - now.fits[k].t for k, p in zip(self.pairs, self.points, strict=True)])
        shifts = np.stack([now.fits[k].t for k in self.pairs])
        return local, turned, world - turned - shifts[:, None]

    def distances(self, now: Alignment, depths: Float[np.ndarray, " S"]) -> Float[np.ndarray, "K S"]:
        return np.linalg.norm(self.residuals(now, depths)[2], axis=-1)


def _cost(now: Alignment, depths: Sequence[np.ndarray], views: Sequence[_View]) -> float:
    return sum(
        float((view.weights * view.distances(now, depth)).sum()) for view, depth in zip(views, depths, strict=True)
    )


def _step(
    now: Alignment, depths: Sequence[np.ndarray], views: Sequence[_View], damping: float
) -> tuple[Float[np.ndarray, "M 7"], list[Float[np.ndarray, " S"]]]:
    """Changes of cameras (turn, shift, log focal length), then of pairs (turn, shift, log scale); of log depths."""
    cameras, blocks = len(views), len(views) + len(now.fits)
    H, g = np.zeros((blocks, 7, blocks, 7)), np.zeros((blocks, 7))
    kept = []
    for view, depth in zip(views, depths, strict=True):
        local, turned, residual = view.residuals(now, depth)
        R = now.Ts_world_camera[view.index][:3, :3]
        distance = np.linalg.norm(residual, axis=-1)
        weight = view.weights / np.maximum(distance, _FLAT * np.median(distance[view.weights > 0]) + 1e-12)
        by_depth = local @ R.T
        by_camera = np.empty((len(depth), 3, 7))
        by_camera[:, :, :3] = -R @ skew(local)
        by_camera[:, :, 3:6] = np.eye(3)
        by_camera[:, :, 6] = -(local * [1, 1, 0]) @ R.T
        by_pair = np.empty((*residual.shape, 7))
        by_pair[..., :3], by_pair[..., 3:6], by_pair[..., 6] = skew(turned), -np.eye(3), -turned
        # Rows of one pixel and pair, in terms of the camera and of that pair; both blocks of columns side by side.
        both = np.concatenate([np.broadcast_to(by_camera, by_pair.shape), by_pair], axis=-1)
        flat = both.reshape(len(view.pairs), -1, 14)
        heavy = (weight[..., None, None] * both).reshape(flat.shape)
        square = np.swapaxes(heavy, 1, 2) @ flat
        slope = (np.swapaxes(heavy, 1, 2) @ residual.reshape(len(view.pairs), -1, 1))[..., 0]
        own, others = view.index, [cameras + k for k in view.pairs]
        for k, other in enumerate(others):
            H[own, :, own] += square[k, :7, :7]
            H[own, :, other] += square[k, :7, 7:]
            H[other, :, own] += square[k, 7:, :7]
            H[other, :, other] += square[k, 7:, 7:]
            g[own] += slope[k, :7]
            g[other] += slope[k, 7:]
        mixed = np.einsum("ksic,ks,si->ksc", both, weight, by_depth, optimize=True)
        coupling = np.concatenate([mixed[..., :7].sum(axis=0), *mixed[..., 7:]], axis=1)
        diagonal = (1 + damping) * weight.sum(axis=0) * (by_depth**2).sum(axis=1) + 1e-12
        toward = np.einsum("ks,ksi,si->s", weight, residual, by_depth, optimize=True)
        where = [own, *others]
        eliminated = coupling / diagonal[:, None]
        H[np.ix_(where, range(7), where, range(7))] -= (eliminated.T @ coupling).reshape(len(where), 7, len(where), 7)
        g[where] -= (eliminated.T @ toward).reshape(-1, 7)
        kept.append((where, eliminated, toward / diagonal))
    system = H.reshape(7 * blocks, -1)
    diagonal = system.diagonal().copy()
    system[np.diag_indices(len(system))] += damping * diagonal + 1e-9 * diagonal.mean()
    # The mean log scale is pinned: all would shrink to nothing, without error, otherwise.
    scales = 7 * np.arange(cameras, blocks) + 6
    system[np.ix_(scales, scales)] += diagonal.max()
    step = np.linalg.solve(system, -g.ravel()).reshape(-1, 7)
    return step, [-alone - eliminated @ step[where].ravel() for where, eliminated, alone in kept]


def _apply(now: Alignment, step: Float[np.ndarray, "M 7"]) -> Alignment:
    cameras, pairs = step[: len(now.focals)], step[len(now.focals) :]
    Ts = now.Ts_world_camera.copy()
    Ts[:, :3, :3] = Ts[:, :3, :3] @ Rotation.from_rotvec(cameras[:, :3]).as_matrix()
    Ts[:, :3, 3] += cameras[:, 3:6]
    scales = pairs[:, 6] - pairs[:, 6].mean()
    turns = Rotation.from_rotvec(pairs[:, :3]).as_matrix()
    fits = [
        Sim3(fit.scale * float(np.exp(scale)), turn @ fit.R, fit.t + one[3:6])
        for fit, scale, turn, one in zip(now.fits, scales, turns, pairs, strict=True)
    ]
    return replace(now, Ts_world_camera=Ts, focals=now.focals * np.exp(cameras[:, 6]), fits=fits)


def depth_of(
    alignment: Alignment, pairs: Sequence[PointmapPair], view: int
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """z-depth of a photo by the weighted median of its pairs, and the greatest of their weights (0: unknown)."""
    to_camera = invert_rigid(alignment.Ts_world_camera[view])
    z, weights = [], []
    for pair, fit in zip(pairs, alignment.fits, strict=True):
        if view in (pair.i, pair.j):
            pointmap = pair.seen_by(view)
            z.append(fit(pointmap.points) @ to_camera[2, :3] + to_camera[2, 3])
            weights.append(np.where(z[-1] > 0, pointmap.weights, 0.0))
    order = np.argsort(z, axis=0)
    ranked, shares = np.take_along_axis(np.stack(z), order, 0), np.take_along_axis(np.stack(weights), order, 0)
    middle = np.argmax(np.cumsum(shares, axis=0) >= shares.sum(axis=0) / 2, axis=0)
    depth = np.take_along_axis(ranked, middle[None], 0)[0]
    best = np.max(weights, axis=0)
    typical = np.median(depth[best > 0]) if (best > 0).any() else 1.0
    return np.where(best > 0, depth, typical), best
