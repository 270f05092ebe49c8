"""Descent on the objective of the global alignment: reweighted Gauss-Newton steps, the depths eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.least_squares import Groups, NormalEquations, levenberg_marquardt
from fewview.recon.geometry.pose import Sim3, invert_rigid, skew, transform
from fewview.recon.pointmaps.pairs import PointmapPair

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
    """The minimum next to `start` of the objective of `fewview.recon.pointmaps.alignment.align_pairs`.

    It is then sought again without strays: these pull with a bounded force, but all to one side, towards the camera.
    """
    views = [_View(start, pairs, view) for view in range(len(start.focals))]
    state = _State(start, [view.depths for view in views])
    state = levenberg_marquardt(_Problem(views), state, _ROUNDS, _SETTLED)
    for view, depth in zip(views, state.depths, strict=True):
        distance = view.distances(state.alignment, depth)
        limit = _STRAY * np.median(distance[view.weights > 0]) + _EXACT * np.median(depth)
        view.weights = np.where(distance < limit, view.weights, 0.0)
    return levenberg_marquardt(_Problem(views), state, _ROUNDS, _SETTLED).alignment


@dataclass(frozen=True)
class _State:
    alignment: Alignment
    depths: list[Float[np.ndarray, " S"]]
    """Of each view's pixels."""


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

    def derivatives(
        self, now: Alignment, depths: Float[np.ndarray, " S"]
    ) -> tuple[Float[np.ndarray, "K S 3"], Float[np.ndarray, "K S 3 14"], Float[np.ndarray, "S 3"]]:
        """Residuals; their derivatives by the camera and by their own pair, side by side; and by the log depth."""
        local, turned, residual = self.residuals(now, depths)
        R = now.Ts_world_camera[self.index][:3, :3]
        by_camera = np.empty((len(depths), 3, 7))
        by_camera[:, :, :3] = -R @ skew(local)
        by_camera[:, :, 3:6] = np.eye(3)
        by_camera[:, :, 6] = -(local * [1, 1, 0]) @ R.T
        by_pair = np.empty((*residual.shape, 7))
        by_pair[..., :3], by_pair[..., 3:6], by_pair[..., 6] = skew(turned), -np.eye(3), -turned
        both = np.concatenate([np.broadcast_to(by_camera, by_pair.shape), by_pair], axis=-1)
        return residual, both, local @ R.T

    def distances(self, now: Alignment, depths: Float[np.ndarray, " S"]) -> Float[np.ndarray, "K S"]:
        return np.linalg.norm(self.residuals(now, depths)[2], axis=-1)


class _Problem:
    """`fewview.recon.geometry.least_squares.Problem`: cameras (turn, shift, log focal length), then pairs (turn, shift,
    log scale) are kept, 7 each; the logarithms of the depths are eliminated.

    A distance counts by its square over what it was: reweighted, so that the sum of distances falls.
    """

    def __init__(self, views: Sequence[_View]) -> None:
        self.views = views

    def cost(self, state: _State) -> float:
        return sum(
            float((view.weights * view.distances(state.alignment, depth)).sum())
            for view, depth in zip(self.views, state.depths, strict=True)
        )

    def normal_equations(self, state: _State) -> NormalEquations:
        now, cameras = state.alignment, len(self.views)
        blocks = cameras + len(now.fits)
        H, g = np.zeros((blocks, 7, blocks, 7)), np.zeros((blocks, 7))
        groups = []
        for view, depth in zip(self.views, state.depths, strict=True):
            residual, both, by_depth = view.derivatives(now, depth)
            distance = np.linalg.norm(residual, axis=-1)
            weight = view.weights / np.maximum(distance, _FLAT * np.median(distance[view.weights > 0]) + 1e-12)
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
            square_by_depth = weight.sum(axis=0) * (by_depth**2).sum(axis=1)
            toward = np.einsum("ks,ksi,si->s", weight, residual, by_depth, optimize=True)
            kept = (7 * np.array([own, *others])[:, None] + np.arange(7)).ravel()
            groups.append(Groups(kept, square_by_depth[:, None, None], coupling[:, None], toward[:, None]))
        system = H.reshape(7 * blocks, -1)
        # The mean log scale is pinned: all would shrink to nothing, without error, otherwise.
        scales = 7 * np.arange(cameras, blocks) + 6
        system[np.ix_(scales, scales)] += system.diagonal().max()
        return NormalEquations(system, g.ravel(), groups)

    def moved(self, state: _State, kept: Float[np.ndarray, " N"], eliminated: list[Float[np.ndarray, "S 1"]]) -> _State:
        depths = [
            depth * np.exp(np.clip(change[:, 0], -1, 1)) for depth, change in zip(state.depths, eliminated, strict=True)
        ]
        return _State(_moved(state.alignment, kept.reshape(-1, 7)), depths)


def _moved(now: Alignment, step: Float[np.ndarray, "M 7"]) -> Alignment:
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
