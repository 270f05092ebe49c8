"""Detections whose left and right were exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from fewview.calibration.skeleton import MIRRORED
from fewview.calibration.solve.bundle import State, in_cameras
from fewview.calibration.solve.lens import project
from fewview.calibration.tracks.sample import Sample
from fewview.recon.geometry.least_squares import GemanMcClure

_SCALE = 3.0
_BETTER = 0.5
"""A body is taken as exchanged where that brings its cost to this share."""


def mirror_of(joints: Int[np.ndarray, " J"]) -> Int[np.ndarray, " J"]:
    """For each of `joints` (numbers in `JOINTS`) the place of its other side among them; its own where that is not."""
    place = {int(joint): i for i, joint in enumerate(joints)}
    return np.array([place.get(MIRRORED[int(joint)], i) for i, joint in enumerate(joints)])


def swapped(state: State, sample: Sample, mirror: Int[np.ndarray, " J"]) -> Bool[np.ndarray, "C K"]:
    """Where a camera's joints of a pose fit the points of `state` far better with left and right exchanged."""
    predicted = project(state.lenses, np.arange(len(state.R))[:, None, None], in_cameras(state))
    shift = (state.offsets_s - sample.offsets_s)[:, sample.take]
    observed = sample.xy - sample.velocity * shift[:, :, None, None]
    costs = []
    for order in (np.arange(len(mirror)), mirror):
        r = (predicted - observed[:, :, order]) / sample.sigma[:, :, None, None]
        r2 = (r * r).sum(axis=-1)
        weight = np.where(np.isfinite(r2), sample.weight[:, :, order], 0)
        costs.append((weight * GemanMcClure(_SCALE).cost(np.nan_to_num(r2))).sum(axis=2))
    return costs[1] < _BETTER * costs[0]


def unswap(state: State, sample: Sample, mirror: Int[np.ndarray, " J"]) -> tuple[Sample, int]:
    """The sample with exchanged detections set right, and how many there were."""
    wrong = swapped(state, sample, mirror)
    xy, velocity, weight = sample.xy.copy(), sample.velocity.copy(), sample.weight.copy()
    for array in (xy, velocity, weight):
        array[wrong] = array[wrong][:, mirror]
    return replace(sample, xy=xy, velocity=velocity, weight=weight), int(wrong.sum())
