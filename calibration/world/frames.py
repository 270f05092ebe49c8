"""Moving a solution from one frame to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.bundle import State
from fewview.recon.geometry.fit import nearest_rotation
from fewview.recon.geometry.pose import Sim3, invert_rigid


def moved(state: State, world: Sim3) -> State:
    """The same cameras and points in a new frame, to which `world` takes the old one."""
    R = state.R @ world.R.T
    return replace(state, R=R, t=-np.einsum("cij,cj->ci", R, world(state.centers)), points=world(state.points))


def moved_to_known(state: State, poses: Mapping[int, Float[np.ndarray, "4 4"]]) -> State:
    """The state in the frame of cameras with known poses (camera to world), which get exactly those.

    One known pose leaves the scale as it is; two or more set it.
    """
    index = sorted(poses)
    Ts = np.array([poses[i] for i in index])
    # R_camera_old = R_camera_new Q, so Q is the chordal mean of R_new^T R_old.
    Q = nearest_rotation(np.einsum("nij,njk->ik", Ts[:, :3, :3], state.R[index]))
    old, new = state.centers[index], Ts[:, :3, 3]
    old_spread, new_spread = (np.linalg.norm(c - c.mean(axis=0)) for c in (old, new))
    s = float(new_spread / old_spread) if len(index) > 1 and old_spread > 0 else 1.0
    state = moved(state, Sim3(s, Q, new.mean(axis=0) - s * Q @ old.mean(axis=0)))
    R, t = state.R.copy(), state.t.copy()
    for i, T in zip(index, Ts, strict=True):
        inverse = invert_rigid(T)
        R[i], t[i] = inverse[:3, :3], inverse[:3, 3]
    return replace(state, R=R, t=t)
