"""The probability that a depth lies within 2 % of the truth."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from recon.depth.consistency import Agreement
from recon.depth.patchmatch import PlaneMap, grey
from recon.scene import PosedImage

FEATURES = ("bias", "cost", "agreeing", "error_px", "error_relative", "log_angle", "log_texture")
WEIGHTS = (3.0, -3.0, 1.0, -1.0, -1.0, 0.3, 0.3)


def features(view: PosedImage, planes: PlaneMap, agreed: Agreement) -> Float32[np.ndarray, "H W F"]:
    """What the confidence is computed from, per pixel, in the order of `FEATURES`."""
    cost = np.clip(planes.cost, 0, 1)
    texture = local_contrast(view)
    error_px = np.minimum(agreed.error_px, 3)
    error_relative = np.minimum(agreed.error_relative, 0.05) * 50
    angle = np.log(np.maximum(agreed.angle_deg, 0.2))
    return np.stack(
        [
            np.ones_like(cost),
            cost,
            np.minimum(agreed.count.astype(np.float32), 3) - 1,
            error_px,
            error_relative,
            angle,
            np.log(texture),
        ],
        -1,
    ).astype(np.float32)


def verified_confidence(view: PosedImage, planes: PlaneMap, agreed: Agreement) -> Float32[np.ndarray, "H W"]:
    """Logistic regression on `features`, fitted on synthetic rooms (tests/recon/test_depth_confidence.py)."""
    logit = features(view, planes, agreed) @ np.array(WEIGHTS, np.float32)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def local_contrast(view: PosedImage) -> Float32[np.ndarray, "H W"]:
    """Standard deviation of grey in a 9 x 9 window, at least that of one grey level."""
    image = grey(view.image)
    mean = cv2.blur(image, (9, 9))
    variance = cv2.blur(image * image, (9, 9)) - mean * mean
    return np.sqrt(np.maximum(variance, 1 / 255**2))
