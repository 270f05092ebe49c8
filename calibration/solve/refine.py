"""Rounds of bundle adjustment, and the cost by which starts are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.bundle import (
    CLOCK,
    DISTORTION,
    FOCAL,
    Bones,
    Prior,
    Robust,
    State,
    adjust,
    residuals,
)
from fewview.calibration.solve.initial import retriangulate
from fewview.calibration.solve.lens import Lenses
from fewview.calibration.tracks.sample import Sample
from fewview.calibration.tracks.sides import unswap
from fewview.recon.geometry.least_squares import GemanMcClure

FOCAL_DEVIATION = 0.3
"""Of log focal from that of 60 degrees of view: next to nothing is known of it."""
SHARED_DEVIATION = 0.07
"""Of log (focal / long side) between the cameras of a rig. Joints err alike over many frames, so that the data seem
surer of each focal length than they are; without this belief some camera trades focal length for distance."""
SAME_DEVIATION = 0.02
"""The same where the user says that the cameras are one model."""
K1_DEVIATION = 0.05
LARGEST_K1_DEVIATION = 0.15
CLOCK_DEVIATION_S = 0.1
_POSES = (True, False, False, True)
_FOCALS = (True, True, False, True)
_ALL = (True, True, True, True)
ROUGH = (
    Robust(10, _POSES),
    Robust(4, _POSES),
    Robust(2, _POSES),
    Robust(4, _FOCALS),
    Robust(2, _FOCALS),
)
FINE = (Robust(3, _ALL), Robust(1.5, _ALL), Robust(1, _ALL))
_HELD_OUT_SCALE = 3.0
_FREE_DISTORTION_RADIUS = 0.8
"""k2, p1, p2 and k3 are freed for cameras whose joints reach this share of the half diagonal."""
_HIGHER_DEVIATIONS = np.array([0.05, 0.002, 0.002, 0.02])
_IMPROVEMENT = 0.98
"""Higher distortion stays only where it brings the held-out cost to this share."""
PINNED = 1e-9
_USUAL_RESIDUAL = 0.4
"""Median length of the residual in standard deviations; detectors on real videos have more."""
_SHARPEST = 0.1


def make_prior(
    lenses: Lenses, takes: int, same_cameras: bool, known_lens: np.ndarray, known_clock: np.ndarray
) -> Prior:
    """Beliefs before anything was seen.

    Args:
        known_lens: (C,) bool: the lens stays as it is.
        known_clock: (C, T) bool.
    """
    fixed = np.zeros((len(lenses.size), CLOCK + takes), bool)
    fixed[known_lens, FOCAL] = True
    fixed[known_lens, DISTORTION] = True
    fixed[:, CLOCK:] = known_clock
    return Prior(
        log_focal=np.where(known_lens, lenses.log_focal, np.log(default_focal(lenses.size))),
        focal_deviation=FOCAL_DEVIATION,
        shared_deviation=SAME_DEVIATION if same_cameras else SHARED_DEVIATION,
        distortion_deviation=np.array([K1_DEVIATION, PINNED, PINNED, PINNED, PINNED]),
        clock_deviation_s=CLOCK_DEVIATION_S,
        fixed=fixed,
    )


def default_focal(size: np.ndarray) -> Float[np.ndarray, " C"]:
    """Of 60 degrees over the long side, pixels."""
    return np.sqrt(0.75) * size.max(axis=-1)


def held_out_cost(state: State, sample: Sample) -> Float[np.ndarray, " C"]:
    """Per camera the mean robust cost of predicting its joints from all other cameras; NaN where they tell none.

    Two cameras cannot predict each other: for them it is the cost of their own fit.
    """
    C = len(state.R)
    costs = np.full(C, np.nan)
    for camera in range(C):
        weight = sample.weight.copy()
        if C > 2:
            weight[camera] = 0
        points = retriangulate(state, replace(sample, weight=weight)).points
        r = residuals(replace(state, points=points), sample)[camera]
        r2 = (r * r).sum(axis=-1)
        w = np.where(np.isfinite(r2), sample.weight[camera], 0)
        if w.sum() > 0:
            costs[camera] = float((w * GemanMcClure(_HELD_OUT_SCALE).cost(np.nan_to_num(r2))).sum() / w.sum())
    return costs


def rough(state: State, sample: Sample, prior: Prior) -> tuple[State, float]:
    """Poses, then focal lengths, from a far start; and the mean held-out cost, which saturates for lost cameras."""
    state = adjust(state, sample, prior, None, ROUGH)
    costs = np.nan_to_num(held_out_cost(state, sample), nan=0.5 * _HELD_OUT_SCALE**2)
    return state, float(costs.mean())


def fine(state: State, sample: Sample, prior: Prior, bones: Bones, mirror: np.ndarray) -> tuple[State, Sample, int]:
    """Everything, twice, with new points in between and exchanged sides set right; more distortion where the joints
    reach far out and it pays.

    Returns the state, the sample with sides set right and how many detections had them exchanged.
    """
    swaps = 0
    for _ in range(2):
        state = retriangulate(state, sample)
        sample, count = unswap(state, sample, mirror)
        swaps += count
        if count:
            state = retriangulate(state, sample)
        state = adjust(state, sample, prior, bones, FINE)
        sharpness = _sharpness(state, sample)
        sample = replace(sample, sigma=sample.sigma * sharpness)
        prior = _believing(prior, sharpness)
    free = (_reach(sample, state.lenses) > _FREE_DISTORTION_RADIUS) & ~prior.fixed[:, FOCAL]
    if free.any():
        fixed = prior.fixed.copy()
        fixed[~free, DISTORTION.start + 1 : DISTORTION.stop] = True
        richer = replace(
            prior,
            distortion_deviation=np.concatenate([prior.distortion_deviation[:1], _HIGHER_DEVIATIONS]),
            fixed=fixed,
        )
        trial = adjust(state, sample, richer, bones, FINE[-1:])
        if np.nanmean(held_out_cost(trial, sample)) < _IMPROVEMENT * np.nanmean(held_out_cost(state, sample)):
            return trial, sample, swaps
    return state, sample, swaps


def _believing(prior: Prior, sharpness: float) -> Prior:
    """The prior for joints that are `sharpness` times as uncertain as usual: k1 is held as tightly as it is because
    detectors err alike over whole regions of the image, which passes for distortion; sharp ones hardly do."""
    deviation = prior.distortion_deviation.copy()
    deviation[0] = min(deviation[0] / sharpness, LARGEST_K1_DEVIATION)
    return replace(prior, distortion_deviation=deviation)


def _sharpness(state: State, sample: Sample) -> float:
    """How much smaller the deviations are than was expected; at most 1, for larger ones are outliers' doing."""
    r = np.linalg.norm(residuals(state, sample), axis=-1)
    return float(np.clip(np.nanmedian(r) / _USUAL_RESIDUAL, _SHARPEST, 1.0))


def _reach(sample: Sample, lenses: Lenses) -> Float[np.ndarray, " C"]:
    """How far from the principal point joints lie, 99th percentile, in half diagonals."""
    out = np.zeros(len(lenses.size))
    for camera, size in enumerate(lenses.size):
        xy = sample.xy[camera][sample.seen[camera]]
        if len(xy):
            radius = np.linalg.norm(xy - lenses.principal[camera], axis=1) / (np.linalg.norm(size) / 2)
            out[camera] = np.percentile(radius, 99)
    return out
