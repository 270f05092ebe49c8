"""A solution put into the world: metres, floor and up, or the frame of the cameras whose poses are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float

from fewview.calibration.observations import Rig
from fewview.calibration.skeleton import JOINTS
from fewview.calibration.solve.bundle import State, residuals
from fewview.calibration.solve.rig import Solution
from fewview.calibration.world.bodies import ADULT_M, Scale, body_scale, find_floor
from fewview.calibration.world.frames import moved, moved_to_known
from fewview.recon.geometry.pose import Sim3, invert_rigid, rigid
from fewview.recon.scene import Camera, View


def place(
    solution: Solution, names: list[str], height_m: float | None, known: Mapping[str, Camera | View]
) -> tuple[Rig, Solution]:
    """The rig, and the solution in the same frame and units.

    With two known poses or more the solution is in their frame already.
    """
    placed = [names[c] for c in solution.cameras]
    views = {i: entry for i, name in enumerate(placed) if isinstance(entry := known.get(name), View)}
    poses = {i: view.T_world_camera for i, view in views.items()}
    state = solution.state
    points = _as_joints(solution)
    if len(poses) >= 2:
        scale: Scale | None = Scale(1.0, 0.0, "known camera poses")
        floor_source = "not sought: the world is that of the known cameras"
    else:
        scale = _scale(solution, points, height_m)
        factor = 1.0 if scale is None else scale.factor
        floor = find_floor(factor * points, height_m or ADULT_M, state.R[:, 0], state.R[:, 1])
        state = moved(state, Sim3(factor, floor.R, -floor.R @ floor.origin))
        floor_source = floor.source if floor.found else f"no feet were seen; up from {floor.source}"
        if poses:
            state = moved_to_known(state, poses)
            floor_source = "not sought: the world is that of the known camera"
    solution = replace(solution, state=state)
    takes = state.offsets_s.shape[1]
    offsets = [{name: float(state.offsets_s[i, k]) for i, name in enumerate(placed)} for k in range(takes)]
    facts = {**solution.facts, "floor": floor_source, "offsets_s": offsets, **_residuals(solution, placed)}
    rig = Rig(
        views=[View(name, _camera(state, i), _pose(state, i)) for i, name in enumerate(placed)],
        offsets_s=offsets[0],
        unplaced=dict(solution.unplaced),
        units="unknown" if scale is None else "metre",
        scale_source="none: no bones were seen" if scale is None else scale.source,
        scale_uncertainty=float("inf") if scale is None else scale.deviation,
        facts=facts,
    )
    return rig, solution


def _as_joints(solution: Solution) -> Float[np.ndarray, "K J 3"]:
    """The sampled points with all of `JOINTS`."""
    out = np.full((len(solution.state.points), len(JOINTS), 3), np.nan)
    out[:, solution.joints] = solution.state.points
    return out


def _scale(solution: Solution, points: np.ndarray, height_m: float | None) -> Scale | None:
    """From the first person, whose height is known; without a height from all, as adults."""
    sample = solution.sample
    if height_m is not None:
        return body_scale(points[sample.person == 0], height_m)
    found = [body_scale(points[(sample.take == k) & (sample.person == p)], None) for k, p in _people(solution)]
    scales = [scale for scale in found if scale is not None]
    if not scales:
        return None
    factor = float(np.exp(np.mean([np.log(scale.factor) for scale in scales])))
    return Scale(factor, float(np.mean([scale.deviation for scale in scales])), scales[0].source)


def _people(solution: Solution) -> list[tuple[int, int]]:
    sample = solution.sample
    return sorted(set(zip(sample.take.tolist(), sample.person.tolist(), strict=True)))


def _camera(state: State, i: int) -> Camera:
    lenses = state.lenses
    fx, fy = lenses.focal[i]
    cx, cy = lenses.principal[i]
    width, height = lenses.size[i]
    distortion = tuple(float(k) for k in lenses.distortion[i])
    return Camera(int(width), int(height), float(fx), float(fy), float(cx), float(cy), distortion)


def _pose(state: State, i: int) -> Float[np.ndarray, "4 4"]:
    return invert_rigid(rigid(state.R[i], state.t[i]))


def _residuals(solution: Solution, names: list[str]) -> dict[str, object]:
    """Median reprojection error per camera, and per pair of cameras of the poses that both saw, pixels."""
    error = np.linalg.norm(residuals(solution.state, solution.sample), axis=-1)
    error *= solution.sample.sigma[:, :, None]
    pairs = {}
    for i, j in combinations(range(len(names)), 2):
        both = np.isfinite(error[i]) & np.isfinite(error[j])
        if both.any():
            pairs[f"{names[i]} {names[j]}"] = float(np.median(np.concatenate([error[i][both], error[j][both]])))
    finite = np.isfinite(error)
    return {
        "reprojection_px": float(np.median(error[finite])),
        "reprojection_px_by_camera": {n: float(np.nanmedian(e)) for n, e in zip(names, error, strict=True)},
        "reprojection_px_by_pair": pairs,
    }
