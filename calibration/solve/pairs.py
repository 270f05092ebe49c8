"""Relative poses of two cameras from what both saw of people: several hypotheses, for the view graph to choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import poselib
from jaxtyping import Bool, Float

BODY_THRESHOLD = 0.008
"""Epipolar threshold in heights of the person; joints are not placed more precisely."""
PIXEL_THRESHOLD = 1.5
DISTINCT_DEG = 8.0
"""Hypotheses nearer than this are one."""


@dataclass(frozen=True)
class Correspondences:
    """What two cameras saw of the same joints at the same time."""

    a: Float[np.ndarray, "M 2"]
    """Pixels from the principal point."""
    b: Float[np.ndarray, "M 2"]
    weight: Float[np.ndarray, " M"]
    threshold_a: Float[np.ndarray, " M"]
    """Pixels."""
    threshold_b: Float[np.ndarray, " M"]

    def __len__(self) -> int:
        return len(self.a)

    def only(self, index: np.ndarray) -> Correspondences:
        return Correspondences(
            self.a[index], self.b[index], self.weight[index], self.threshold_a[index], self.threshold_b[index]
        )


@dataclass(frozen=True)
class RelativePose:
    """x_b = R x_a + t, |t| = 1."""

    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, " 3"]
    inliers: float
    """Share of the correspondences that agree, by weight."""


def relative_poses(
    c: Correspondences, focal: tuple[float, float], seeds: tuple[int, ...], keep: int
) -> list[RelativePose]:
    """Distinct hypotheses, best first (LO-RANSAC with the five-point solver of poselib, Larsson 2020).

    Several, because people are small in the picture: cameras that face each other, and nearly flat motion, leave two
    or three poses that explain the joints about equally well.
    """
    if len(c) < 8:
        return []
    a, b = c.a / focal[0], c.b / focal[1]
    threshold = float(np.median(0.5 * (c.threshold_a / focal[0] + c.threshold_b / focal[1])))
    unit = {"model": "SIMPLE_PINHOLE", "width": 2, "height": 2, "params": [1.0, 0.0, 0.0]}
    found: list[RelativePose] = []
    for seed in seeds:
        pose, _ = poselib.estimate_relative_pose(
            a, b, unit, unit,
            {"max_epipolar_error": threshold, "seed": seed, "min_iterations": 50, "max_iterations": 300},
            {"loss_scale": threshold, "max_iterations": 25},
        )  # fmt: skip
        R, t = pose.R, pose.t
        if not (np.isfinite(R).all() and np.isfinite(t).all()) or np.linalg.norm(t) < 1e-9:
            continue
        t = t / np.linalg.norm(t)
        found.append(RelativePose(R, t, support(R, t, c, focal)))
    distinct: list[RelativePose] = []
    for pose in sorted(found, key=lambda pose: -pose.inliers):
        if all(angle_deg(pose.R @ other.R.T) > DISTINCT_DEG for other in distinct):
            distinct.append(pose)
    return distinct[:keep]


def support(R: np.ndarray, t: np.ndarray, c: Correspondences, focal: tuple[float, float]) -> float:
    """Share of the weight whose Sampson error is under the threshold."""
    return float(c.weight[agree(R, t, c, focal)].sum() / max(c.weight.sum(), 1e-9))


def agree(R: np.ndarray, t: np.ndarray, c: Correspondences, focal: tuple[float, float]) -> Bool[np.ndarray, " M"]:
    return sampson(R, t, c, focal) < 1


def sampson(R: np.ndarray, t: np.ndarray, c: Correspondences, focal: tuple[float, float]) -> Float[np.ndarray, " M"]:
    """Sampson distance (Hartley and Zisserman, eq. 11.9) in thresholds; each image's own threshold counts."""
    E = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]]) @ R
    x = np.column_stack([c.a / focal[0], np.ones(len(c))])
    y = np.column_stack([c.b / focal[1], np.ones(len(c))])
    Ex, Ey = x @ E.T, y @ E
    along_a = (Ey[:, :2] ** 2).sum(axis=1) * (c.threshold_a / focal[0]) ** 2
    along_b = (Ex[:, :2] ** 2).sum(axis=1) * (c.threshold_b / focal[1]) ** 2
    return np.abs((y * Ex).sum(axis=1)) / np.sqrt(np.maximum(along_a + along_b, 1e-18))


def angle_deg(R: np.ndarray) -> float:
    """Angle of a rotation; the chord keeps small angles exact."""
    chord = np.linalg.norm(R - np.eye(3)) / np.sqrt(8)
    return float(np.degrees(2 * np.arcsin(min(1.0, chord))))
