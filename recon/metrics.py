"""How far an estimate is from the truth: cameras, images, depth. Perfect estimates score 0, 1 or infinity.

Poses are camera-to-world (OpenCV axes). None of these figures depends on the world frame or the scale of the
estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewview.recon.geometry.fit import fit_sim3
from fewview.recon.scene import Camera

Poses = Float[np.ndarray, "N 4 4"]

_COINCIDENT = 1e-9
"""Two centres are one where their distance is below this share of the extent of all."""


@dataclass(frozen=True)
class PairErrors:
    """Errors of relative poses over all ordered pairs of cameras (i, j), i != j. Degrees."""

    rotation_deg: Float[np.ndarray, " P"]
    """Angle between the true and the estimated relative rotation."""
    translation_deg: Float[np.ndarray, " P"]
    """Angle in [0, 180] between the true and the estimated direction to camera j, both in camera i's axes.
    Opposite directions are 180 degrees apart. NaN where the true centres coincide; 180 where only the
    estimated ones do."""


def pair_errors(truth: Poses, estimate: Poses) -> PairErrors:
    """Relative pose errors as RRA and RTA count them (Jin et al. 2021), but sign-aware.

    Ordered pairs, because the direction from i to j and that from j to i may err differently: the mean then
    does not depend on the order of the cameras.
    """
    _check(truth, estimate)
    i, j = np.nonzero(~np.eye(len(truth), dtype=bool))
    rotations = [np.swapaxes(T[i, :3, :3], 1, 2) @ T[j, :3, :3] for T in (truth, estimate)]
    # The chord, not the arc cosine of the trace: it keeps small angles exact, and equal matrices at 0.
    chord = np.linalg.norm(rotations[0] - rotations[1], axis=(1, 2)) / math.sqrt(8)
    steps = [np.einsum("pji,pj->pi", T[i, :3, :3], T[j, :3, 3] - T[i, :3, 3]) for T in (truth, estimate)]
    lengths = [np.linalg.norm(step, axis=1) for step in steps]
    apart = [length > _COINCIDENT * _spread(T[:, :3, 3]) for length, T in zip(lengths, (truth, estimate), strict=True)]
    directions = [
        step / np.where(ok, length, 1)[:, None] for step, ok, length in zip(steps, apart, lengths, strict=True)
    ]
    angle = _angle_deg(np.linalg.norm(directions[0] - directions[1], axis=1) / 2)
    angle = np.where(apart[0], np.where(apart[1], angle, 180.0), np.nan)
    return PairErrors(_angle_deg(chord), angle)


def trajectory_error(truth: Poses, estimate: Poses) -> float:
    """ATE: root mean square distance of camera centres after the best Sim(3), as a share of the true
    trajectory's size.

    The size is the Frobenius norm of the centred true centres, sqrt(sum_i |c_i - mean c|^2), as in Procrustes
    analysis and in the evaluation of NoPe-NeRF and InstantSplat (who bring both trajectories to unit norm
    before aligning them). So the figure has no unit, and lies in [0, 1 / sqrt(N)]. Multiply by
    `trajectory_size` for the truth's units.

    NaN for fewer than 3 cameras, because a similarity brings any two pairs of centres together; NaN where all
    true centres coincide.
    """
    _check(truth, estimate)
    size = trajectory_size(truth)
    if len(truth) < 3 or size == 0:
        return math.nan
    a, b = estimate[:, :3, 3], truth[:, :3, 3]
    residual = fit_sim3(a, b)(a) - b
    return float(np.sqrt((residual**2).sum(1).mean())) / size


def trajectory_size(poses: Poses) -> float:
    """Frobenius norm of the centred camera centres, scene units."""
    centers = poses[:, :3, 3]
    return float(np.linalg.norm(centers - centers.mean(0)))


def focal_error(truth: list[Camera], estimate: list[Camera]) -> float:
    """Mean over cameras of |f' / f - 1|, f = sqrt(fx fy) at the same image size."""
    errors = []
    for true, found in zip(truth, estimate, strict=True):
        same = found.resized(true.width, true.height)
        errors.append(abs(math.sqrt(same.fx * same.fy) / math.sqrt(true.fx * true.fy) - 1))
    return float(np.mean(errors))


def psnr(
    truth: Float[np.ndarray, "H W 3"],
    image: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB for images in [0, 1]; infinite for equal images.

    Args:
        mask: True where pixels count; all do if not given.
    """
    error = (truth.astype(np.float64) - image) ** 2
    mean = float(error.mean() if mask is None else error[mask].mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)


def ssim(
    truth: Float[np.ndarray, "H W 3"],
    image: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, data range 1, mean of the
    channels.

    Equals scikit-image's with `gaussian_weights=True, use_sample_covariance=False`: windows that cross the
    border do not count, nor do those that cross the mask. NaN where no window counts.

    Args:
        mask: True where pixels count; all do if not given.
    """
    import cv2

    x, y = truth.astype(np.float64), image.astype(np.float64)

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    scores = ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean(-1)
    counted = np.zeros(scores.shape, bool)
    counted[5:-5, 5:-5] = True
    if mask is not None:
        counted &= cv2.erode(mask.astype(np.uint8), np.ones((11, 11), np.uint8)).astype(bool)
    return float(scores[counted].mean()) if counted.any() else math.nan


@dataclass(frozen=True)
class DepthErrors:
    """Over the pixels where the truth is known."""

    covered: float
    """Share of them where the estimate is known too."""
    within_2_percent: float
    """Share **of all of them** that is known and within 2 %."""
    within_3_percent: float
    abs_rel: float
    """Mean of |z' - z| / z where both are known; NaN where none is."""


def depth_errors(truth: Float[np.ndarray, "H W"], estimate: Float[np.ndarray, "H W"]) -> DepthErrors:
    """Compare z-depths in the same unit; NaN is unknown.

    Raises:
        ValueError: the truth is unknown everywhere.
    """
    known = np.isfinite(truth)
    if not known.any():
        raise ValueError("the true depth is unknown everywhere")
    both = known & np.isfinite(estimate)
    relative = np.abs(estimate[both].astype(np.float64) - truth[both]) / truth[both]
    count = int(known.sum())
    return DepthErrors(
        covered=len(relative) / count,
        within_2_percent=int((relative <= 0.02).sum()) / count,
        within_3_percent=int((relative <= 0.03).sum()) / count,
        abs_rel=float(relative.mean()) if len(relative) else math.nan,
    )


def _angle_deg(half_chord: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    return np.degrees(2 * np.arcsin(np.minimum(half_chord, 1.0)))


def _spread(centers: Float[np.ndarray, "N 3"]) -> float:
    return float(np.linalg.norm(centers - centers.mean(0), axis=1).max())


def _check(truth: np.ndarray, estimate: np.ndarray) -> None:
    if truth.shape != estimate.shape or truth.ndim != 3 or truth.shape[1:] != (4, 4):
        raise ValueError(f"poses of shape {truth.shape} and {estimate.shape} are not two equal lists of 4x4 matrices")
