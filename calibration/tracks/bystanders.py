"""Who stands behind the scene: where few cameras look, while others are where most do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.bundle import State
from fewview.calibration.solve.lens import project

_FEW = 0.5
"""Of the cameras that look where somebody else is: who is looked at by no more is a bystander, or a mirror's image."""


def in_scene(state: State, people: Sequence[Float[np.ndarray, "_ J 3"]]) -> list[bool]:
    """For each person whether it is in the scene, or a bystander.

    It counts which cameras' images hold the place, not which of them found the person there: whom others hide is no
    bystander.

    Args:
        people: joints in the frame of the cameras at as many instants as each has, NaN where unknown.
    """
    looking = [_cameras_on(state, points) for points in people]
    most = max(looking, default=0.0)
    return [bool(count > _FEW * most or not most) for count in looking]


def _cameras_on(state: State, points: Float[np.ndarray, "K J 3"]) -> float:
    """How many cameras' images hold the middle of a person, typically."""
    some = points[np.isfinite(points[..., 0]).any(axis=1)]
    if not len(some):
        return 0.0
    X = np.einsum("cij,kj->cki", state.R, np.nanmedian(some, axis=1)) + state.t[:, None]
    pixels = project(state.lenses, np.arange(len(state.R))[:, None], X)
    inside = (X[..., 2] > 0) & (pixels > 0).all(axis=2) & (pixels < state.lenses.size[:, None]).all(axis=2)
    return float(np.median(inside.sum(axis=0)))
