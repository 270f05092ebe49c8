"""How far a calibrated rig and its motion are from the truth, in the units of the truth.

Terms as in the literature on cameras from people (HSfM, Mueller et al. 2025): TE after rigid, s-TE after similarity
alignment of the camera centres; AE, angle after alignment of the rotations; RRA@t, RTA@t over pairs; CCA@t over
centres. See also `fewview.recon.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.fit import fit_rigid, fit_sim3, nearest_rotation
from fewview.recon.geometry.pose import skew
from fewview.recon.metrics import pair_errors
from fewview.recon.scene import Camera, View

Poses = Float[np.ndarray, "N 4 4"]
Points = Float[np.ndarray, "*n 3"]


def centre_errors(truth: Poses, estimate: Poses, similarity: bool) -> Float[np.ndarray, " N"]:
    """Distances of the camera centres after rigid (TE) or similarity alignment (s-TE, needs three cameras).

    NaN for a similarity of fewer than three cameras: it brings any two pairs of centres together.
    """
    a, b = estimate[:, :3, 3], truth[:, :3, 3]
    if similarity and len(truth) < 3:
        return np.full(len(truth), np.nan)
    moved = (fit_sim3 if similarity else fit_rigid)(a, b)(a)
    return np.linalg.norm(moved - b, axis=1)


def rotation_errors_deg(truth: Poses, estimate: Poses) -> Float[np.ndarray, " N"]:
    """AE per camera: what is left of each rotation after their mean (chordal L2) is taken out; degrees."""
    relative = truth[:, :3, :3] @ np.swapaxes(estimate[:, :3, :3], 1, 2)
    return _angles_deg(relative, nearest_rotation(relative.sum(0)))


def compensated(truth: Sequence[View], estimate: Sequence[View]) -> Poses:
    """The estimate's poses, turned by what a principal point off by some pixels turns them.

    A camera whose principal point is wrongly taken for the image centre is rotated to make up for it, and shows the
    same pictures: that is no error of its pose.
    """
    out = []
    for true, found in zip(truth, estimate, strict=True):
        camera = same_size(true.camera, found.camera)
        ray = camera.pinhole().rays_at(np.array([true.camera.cx, true.camera.cy]))
        ray /= np.linalg.norm(ray)
        axis, sine, cosine = np.cross([0.0, 0.0, 1.0], ray), float(np.hypot(ray[0], ray[1])), float(ray[2])
        cross = skew(axis)
        turn = np.eye(3) + cross + cross @ cross / (1 + cosine) if sine > 0 else np.eye(3)
        T = found.T_world_camera.copy()
        T[:3, :3] = T[:3, :3] @ turn
        out.append(T)
    return np.stack(out)


def same_size(truth: Camera, estimate: Camera) -> Camera:
    """The estimate at the size of the truth. Where one side agrees and the other differs by less than 2 %, the video
    was cropped in the middle; otherwise it was scaled."""
    sizes = (truth.width, truth.height), (estimate.width, estimate.height)
    ratios = sorted(abs(a / b - 1) for a, b in zip(*sizes, strict=True))
    if ratios[0] == 0 and ratios[1] < 0.02:
        shift = (truth.width - estimate.width) / 2, (truth.height - estimate.height) / 2
        return Camera(
            *sizes[0],
            fx=estimate.fx,
            fy=estimate.fy,
            cx=estimate.cx + shift[0],
            cy=estimate.cy + shift[1],
            distortion=estimate.distortion,
        )
    return estimate.resized(*sizes[0])


def focal_errors(truth: Sequence[View], estimate: Sequence[View]) -> Float[np.ndarray, " N"]:
    """|f' / f - 1| per camera, f = sqrt(fx fy)."""
    errors = []
    for true, found in zip(truth, estimate, strict=True):
        camera = same_size(true.camera, found.camera)
        errors.append(abs(math.sqrt(camera.fx * camera.fy / (true.camera.fx * true.camera.fy)) - 1))
    return np.array(errors)


def rra(truth: Poses, estimate: Poses, within_deg: float) -> float:
    """Share of the pairs whose relative rotation is off by less."""
    return float((pair_errors(truth, estimate).rotation_deg < within_deg).mean())


def rta(truth: Poses, estimate: Poses, within_deg: float) -> float:
    """Share of the ordered pairs whose direction is off by less."""
    errors = pair_errors(truth, estimate).translation_deg
    return float((errors[np.isfinite(errors)] < within_deg).mean())


def cca(truth: Poses, estimate: Poses, within_percent: float) -> float:
    """Share of the centres that, after similarity alignment, are off by less than this share of the largest distance
    of a true centre from their centroid."""
    centers = truth[:, :3, 3]
    reach = float(np.linalg.norm(centers - centers.mean(0), axis=1).max())
    return float((centre_errors(truth, estimate, similarity=True) < within_percent / 100 * reach).mean())


def scale_error(truth: Poses, estimate: Poses) -> float:
    """Estimated over true size of the rig, minus 1 (the ratio of the centres' spread about their centroid)."""
    a, b = (T[:, :3, 3] - T[:, :3, 3].mean(0) for T in (estimate, truth))
    return float(np.linalg.norm(a) / np.linalg.norm(b)) - 1


def joint_errors(truth: Points, estimate: Points, similarity: bool) -> Float[np.ndarray, " M"]:
    """Distances of the joints that both know, after one rigid or similarity alignment of all of them."""
    both = np.isfinite(truth).all(-1) & np.isfinite(estimate).all(-1)
    a, b = estimate[both].astype(np.float64), truth[both].astype(np.float64)
    if len(a) < 3:
        return np.zeros(0)
    moved = (fit_sim3 if similarity else fit_rigid)(a, b)(a)
    return np.linalg.norm(moved - b, axis=-1)


def _angles_deg(R: Float[np.ndarray, "N 3 3"], mean: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " N"]:
    half_chord = np.linalg.norm(R - mean, axis=(1, 2)) / math.sqrt(8)
    return np.degrees(2 * np.arcsin(np.minimum(half_chord, 1.0)))
