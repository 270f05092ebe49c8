"""The world frame of `cameras.json` where nothing else is known (docs/artifacts.md)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.recon.sfm.bundle import Bundle


def normalise(bundle: Bundle) -> Bundle:
    """Axes of the first camera, turned so that the cameras' mean up is -y; origin at the centroid of the
    camera centres; median depth of the observed points 1."""
    centers = -np.einsum("nji,nj->ni", bundle.R, bundle.t)
    turn = _upright(bundle.R) @ bundle.R[0]
    scale = 1 / float(np.median(bundle.in_camera()[:, 2]))
    origin = centers.mean(axis=0)
    R = bundle.R @ turn.T
    new_centers = scale * (centers - origin) @ turn.T
    return replace(
        bundle,
        R=R,
        t=-np.einsum("nij,nj->ni", R, new_centers),
        points=scale * (bundle.points - origin) @ turn.T,
    )


def scaled(bundle: Bundle, factor: float) -> Bundle:
    """The same world with lengths `factor` times as large."""
    return replace(bundle, t=factor * bundle.t, points=factor * bundle.points)


def _upright(R: Float[np.ndarray, "I 3 3"]) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that takes the mean down direction, in the first camera's axes, to +y."""
    down = R[0] @ R[:, 1].mean(axis=0)
    length = np.linalg.norm(down)
    if length < 1e-3:  # photos taken every way up have no common up
        return np.eye(3)
    down = down / length
    axis, cosine = np.cross(down, [0.0, 1.0, 0.0]), down[1]
    sine = np.linalg.norm(axis)
    if sine < 1e-12:
        # Already upright, or exactly upside down: then turn about the viewing axis.
        return np.eye(3) if cosine > 0 else np.diag([-1.0, -1.0, 1.0])
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
