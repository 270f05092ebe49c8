"""The probability that a depth lies within 2 % of the truth, by logistic regression.

Fitted by maximum likelihood on rooms of `fewview.data.gallery` by tests/benchmarks/depth_confidence.py, which also
plots it; tests/recon/test_depth_confidence.py checks it on a room that the fit has not seen.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.consistency import Agreement
from fewview.recon.depth.patchmatch import PlaneMap, grey
from fewview.recon.scene import PosedImage

VERIFIED_WEIGHTS = {
    "bias": 1.72,
    "cost": -4.26,
    "agreeing": 0.73,
    "error_px": -0.38,
    "error_relative": -1.40,
    "log_angle": 0.90,
    "log_contrast": 0.16,
}
COMPLETED_WEIGHTS = {
    "bias": 1.64,
    "planar": 2.74,
    "border": -2.18,
    "borrowed": -0.63,
    "root_distance": -4.59,
    "root_way": -1.59,
    "energy": -1.20,
    "pushed": -2.50,
}


def verified_features(view: PosedImage, planes: PlaneMap, agreed: Agreement) -> dict[str, Float32[np.ndarray, "H W"]]:
    """What the confidence of a verified pixel is computed from."""
    return {
        "bias": np.ones_like(planes.cost),
        "cost": np.clip(planes.cost, 0, 1),
        "agreeing": np.minimum(agreed.count.astype(np.float32), 3) - 1,
        "error_px": np.minimum(agreed.error_px / tol.MAX_ERROR_PX, 1),
        "error_relative": np.minimum(agreed.error_relative / tol.MAX_ERROR_RELATIVE, 1),
        "log_angle": np.log(np.clip(agreed.angle_deg, 0.2, 45)),
        "log_contrast": np.log(local_contrast(view)),
    }


def completed_features(
    planar: Bool[np.ndarray, "H W"],
    border: Bool[np.ndarray, "H W"],
    borrowed: Bool[np.ndarray, "H W"],
    distance: Float32[np.ndarray, "H W"],
    way: Float32[np.ndarray, "H W"],
    energy: Float32[np.ndarray, "H W"],
    pushed: Bool[np.ndarray, "H W"],
) -> dict[str, Float32[np.ndarray, "H W"]]:
    """What the confidence of a completed pixel is computed from.

    Args:
        planar: on a plane of the scene (else diffused).
        border: on one of which only borders were seen.
        borrowed: where another view verified a surface.
        distance: pixels to the nearest verified or borrowed pixel.
        way: from where the plane was verified, as a share of the long side (`reach.path_to_support`).
        energy: cost of the chosen surface in its superpixel.
        pushed: moved behind what another view sees.
    """
    return {
        "bias": np.ones_like(distance),
        "planar": planar.astype(np.float32),
        "border": border.astype(np.float32),
        "borrowed": borrowed.astype(np.float32),
        "root_distance": np.sqrt(distance / max(distance.shape)) * ~planar,
        "root_way": np.sqrt(way) * planar,
        "energy": np.minimum(energy, 3),
        "pushed": pushed.astype(np.float32),
    }


def probability(
    features: dict[str, Float32[np.ndarray, "H W"]], weights: dict[str, float]
) -> Float32[np.ndarray, "H W"]:
    logit = sum((features[name] * np.float32(weight) for name, weight in weights.items()), np.float32(0))
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def local_contrast(view: PosedImage) -> Float32[np.ndarray, "H W"]:
    """Standard deviation of grey in a 9 x 9 window, at least that of one grey level."""
    image = grey(view.image)
    mean = cv2.blur(image, (9, 9))
    variance = cv2.blur(image * image, (9, 9)) - mean * mean
    return np.sqrt(np.maximum(variance, 1 / 255**2))
