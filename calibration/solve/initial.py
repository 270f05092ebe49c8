"""First poses of all cameras, from pairs: where bundle adjustment starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.bones import log_lengths
from fewview.calibration.solve.bundle import Bones, State
from fewview.calibration.solve.lens import Lenses, normalise
from fewview.calibration.solve.pairs import RelativePose
from fewview.calibration.solve.triangulation import midpoints, triangulate_poses
from fewview.calibration.solve.viewgraph import Rotations, place_centers
from fewview.calibration.tracks.sample import Sample

_LEAST_KINDS = 3
"""Bones that must be measured in a pair for its scale to count."""


def first_state(lenses: Lenses, rotations: Rotations, sample: Sample, bones: Bones) -> State | None:
    """Poses in units of the person's bones; None where no pair of cameras measures the bones."""
    lengths = {
        pair: log_lengths(_pair_points(lenses, sample, pair, pose), bones) for pair, pose in rotations.chosen.items()
    }
    lengths = {pair: found for pair, found in lengths.items() if np.isfinite(found).sum() >= _LEAST_KINDS}
    baseline = _baselines(lengths)
    if not baseline or not _connects(len(rotations.R), list(baseline)):
        return None
    chosen = {pair: rotations.chosen[pair] for pair in baseline}
    centers = place_centers(rotations.R, chosen, baseline)
    t = -np.einsum("cij,cj->ci", rotations.R, centers)
    state = State(lenses, rotations.R, t, sample.offsets_s.copy(), np.zeros((*sample.weight.shape[1:], 3)))
    return retriangulate(state, sample)


def retriangulate(state: State, sample: Sample) -> State:
    """New points for the poses of `sample`."""
    xy = sample.xy - sample.velocity * (state.offsets_s - sample.offsets_s)[:, sample.take][:, :, None, None]
    return replace(state, points=triangulate_poses(state, xy, sample.weight, sample.sigma))


def _baselines(lengths: dict[tuple[int, int], np.ndarray]) -> dict[tuple[int, int], float]:
    """Length of every pair's baseline where the person's bones are 1 on average: with a unit baseline, a person that
    seems small stands far from cameras that are far apart."""
    if not lengths:
        return {}
    table = np.array(list(lengths.values()))
    table = table[:, np.isfinite(table).any(axis=0)]
    reference = np.nanmedian(table, axis=0)
    scale = np.zeros(len(table))
    for _ in range(3):
        scale = np.nanmedian(table - reference, axis=1)
        reference = np.nanmedian(table - scale[:, None], axis=0)
    return {pair: float(np.exp(-s)) for pair, s in zip(lengths, scale, strict=True) if np.isfinite(s)}


def _pair_points(
    lenses: Lenses, sample: Sample, pair: tuple[int, int], pose: RelativePose
) -> Float[np.ndarray, "K J 3"]:
    """Joints in camera i's axes, baseline 1; NaN where either camera lacks them or the rays do not meet."""
    i, j = pair
    rays = []
    for camera, turn in ((i, np.eye(3)), (j, pose.R)):
        uv = normalise(lenses, np.array(camera), sample.xy[camera]).reshape(-1, 2)
        d = np.column_stack([uv, np.ones(len(uv))]) @ turn
        rays.append(d / np.linalg.norm(d, axis=1, keepdims=True))
    X, ok = midpoints(np.zeros(3), rays[0], -pose.R.T @ pose.t, rays[1])
    K, J = sample.weight.shape[1:]
    X[~ok] = np.nan
    X = X.reshape(K, J, 3)
    X[~(sample.seen[i] & sample.seen[j])] = np.nan
    return X


def _connects(cameras: int, pairs: list[tuple[int, int]]) -> bool:
    part = np.arange(cameras)
    for i, j in pairs:
        part[part == part[j]] = part[i]
    return bool((part == part[0]).all())
