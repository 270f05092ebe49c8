"""Poses that are nearly right, made exact by what the photos share.

What placed the photos (people seen by a rig, a network) says where they are to a degree, which is many pixels; matches
say more of the angles, but may be few or of things that look alike. Both enter one adjustment, the poses as its prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.sfm.bundle import PosePrior, Prior
from fewview.recon.sfm.given import map_around
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.mapping import Candidate, Sensors
from fewview.recon.sfm.refine import make_prior, refine

_FREE = 1e3
"""Factor on the deviations of photos without a pose."""


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of poses that are nearly right."""

    rotation_deg: float
    """About any axis."""
    center: float
    """Along any axis, as a share of the cameras' mean distance from their centroid."""
    log_focal: float | None = None
    """Of all lenses; None: as recorded or guessed focal lengths deviate, and not at all where they are given."""


@dataclass(frozen=True)
class Near:
    """What is nearly right."""

    start: str
    """What it comes from, in words."""
    poses: Mapping[int, Float[np.ndarray, "4 4"]]
    """Camera to world, by photo."""
    focals: dict[int, float]
    """Believed focal lengths in working pixels, by lens."""
    guess: Float[np.ndarray, " L"]
    """Focal lengths to start from, of all lenses."""
    tolerances_px: tuple[float, ...]
    """Reprojection errors (working pixels) up to which matches are believed: at first, and once poses were moved."""
    deviations: Deviations


def refine_near(
    graph: MatchGraph, sensors: Sensors, near: Near, max_error_px: float, seed: int
) -> tuple[Candidate, Prior] | None:
    """All photos with a pose, adjusted together, and others added; with the prior of the last adjustment.

    Photos that share nothing with others stay where they were. None where matches make no points at all.
    """
    centers = np.array([pose[:3, 3] for pose in near.poses.values()])
    extent = float(np.linalg.norm(centers - centers.mean(0), axis=1).mean())
    lenses = np.isin(np.arange(len(sensors.groups)), sensors.lens[sorted(near.poses)])
    fixed = replace(sensors, exact=sensors.exact | lenses)  # while photos are added: their poses are as good as these
    now, start, found = dict(near.poses), near.guess, None
    for tolerance in near.tolerances_px:
        candidates = map_around(graph, fixed, start, now, near.start, seed, tolerance)
        if not candidates:
            return found
        prior = _prior(candidates[0], sensors, near, extent)
        refined = refine(candidates[0], prior, max_error_px, min_observations=0)
        found = refined, prior
        now = {i: pose_of(refined, k) for k, i in enumerate(refined.photos)}
        start = start.copy()
        start[np.unique(sensors.lens[refined.photos])] = np.exp(refined.bundle.log_focal)
    return found


def pose_of(model: Candidate, k: int) -> Float[np.ndarray, "4 4"]:
    """Camera to world of the model's image k."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = model.bundle.R[k], model.bundle.t[k]
    return invert_rigid(T)


def _prior(candidate: Candidate, sensors: Sensors, near: Near, extent: float) -> Prior:
    here = [pose_of(candidate, k) for k in range(len(candidate.photos))]
    before = np.array([near.poses.get(i, own) for i, own in zip(candidate.photos, here, strict=True)])
    believed = np.array([1.0 if i in near.poses else _FREE for i in candidate.photos])
    poses = PosePrior(
        np.swapaxes(before[:, :3, :3], 1, 2),
        before[:, :3, 3],
        believed * np.radians(near.deviations.rotation_deg),
        believed * near.deviations.center * extent,
    )
    prior = replace(make_prior(candidate, sensors, near.focals, near.guess), poses=poses)
    if near.deviations.log_focal is None:
        return prior
    return replace(prior, log_focal_deviation=np.full_like(prior.log_focal_deviation, near.deviations.log_focal))
