"""Captures that leave something undetermined: recognised from the solution, said in words."""

from __future__ import annotations

import numpy as np

from fewview.calibration.solve.bundle import State
from fewview.calibration.tracks.sample import Sample

_FLAT = 0.04
"""Joints off their common plane, in body sizes."""
_STILL = 0.08
"""How far joints move about their mean, in body sizes."""
_DEEP = 0.12
"""Extent of the motion along a camera's axis over its distance."""
_PARALLAX_DEG = 12.0
_COLLINEAR = 0.03
_TWIN = 0.9
"""A second offset with this share of the best one's support might be the true one."""


def degeneracies(state: State, sample: Sample, known_lens: np.ndarray, twins: dict[str, float]) -> dict[str, str]:
    """Reason by kind.

    Args:
        known_lens: (C,) bool.
        twins: per camera the support of its second best offset over that of the best.
    """
    found: dict[str, str] = {}
    points = state.points
    size = _body_size(points)
    everything = points.reshape(-1, 3)
    everything = everything[np.isfinite(everything[:, 0])]
    if len(state.R) == 2 and not known_lens.all():
        found["two_cameras"] = (
            "two cameras do not tell their focal lengths: they rest on the assumed field of view; give the lenses "
            "(--known) or add a camera"
        )
    if _movement(points, sample) < _STILL * size:
        found["static"] = "the people hardly move: clocks and focal lengths are uncertain; record them walking about"
    spread = np.linalg.svd(everything - everything.mean(axis=0), compute_uv=False) / np.sqrt(len(everything))
    if spread[2] < _FLAT * size:
        found["planar"] = "all motion lies in one plane: the cameras may be mirrored or bent; record motion in depth"
    parallax = _parallax_deg(state)
    if parallax < _PARALLAX_DEG:
        found["narrow"] = (
            f"the cameras see the people from nearly one side (rays meet at {parallax:.0f} degrees): distances are "
            "uncertain; move them apart"
        )
    shallow = [i for i in np.flatnonzero(~known_lens) if _depth_ratio(state, int(i), everything) < _DEEP]
    if len(shallow) == len(state.R):
        found["distant"] = (
            "the people stay at one distance from every camera: focal lengths trade against distances; let them walk "
            "towards the cameras"
        )
    if len(state.R) > 2:
        centers = np.linalg.svd(state.centers - state.centers.mean(axis=0), compute_uv=False)
        if centers[1] < _COLLINEAR * centers[0]:
            found["collinear"] = "the cameras stand in one line: their order of scale rests on few triangles"
    unsure = sorted(camera for camera, share in twins.items() if share > _TWIN)
    if unsure:
        found["repeated_motion"] = (
            f"the motion repeats, and {', '.join(unsure)} fit almost as well at another offset: check, or give offsets"
        )
    return found


def _body_size(points: np.ndarray) -> float:
    extent = np.nanmax(points, axis=1, initial=-np.inf, where=np.isfinite(points)) - np.nanmin(
        points, axis=1, initial=np.inf, where=np.isfinite(points)
    )
    longest = extent.max(axis=1)
    return float(np.median(longest[np.isfinite(longest)]))


def _movement(points: np.ndarray, sample: Sample) -> float:
    moved = []
    for take, person in sorted(set(zip(sample.take.tolist(), sample.person.tolist(), strict=True))):
        rows = points[(sample.take == take) & (sample.person == person)]
        seen = np.isfinite(rows[..., 0]).sum(axis=0) >= 3
        if seen.any():
            moved.append(np.sqrt(np.nanvar(rows[:, seen], axis=0).sum(axis=1)).mean())
    return float(max(moved, default=0.0))


def _parallax_deg(state: State) -> float:
    """Median over the joints of the widest angle between the rays of two cameras."""
    points = state.points.reshape(-1, 3)
    points = points[np.isfinite(points[:, 0])]
    rays = points[None] - state.centers[:, None]
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    # An angle over 90 degrees is as good as its complement: rays that oppose each other are nearly one line.
    widest = np.zeros(len(points))
    for i in range(len(rays)):
        for j in range(i):
            widest = np.maximum(widest, np.linalg.norm(np.cross(rays[i], rays[j]), axis=1))
    return float(np.degrees(np.arcsin(np.clip(np.median(widest), 0, 1))))


def _depth_ratio(state: State, camera: int, points: np.ndarray) -> float:
    depth = points @ state.R[camera, 2] + state.t[camera, 2]
    low, high = np.percentile(depth, [5, 95])
    return float((high - low) / max(np.median(depth), 1e-9))
