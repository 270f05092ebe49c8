"""The nearest lens without k3, for formats that do not hold it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewview.recon.io.cameras import canonical_distortion
from fewview.recon.scene import Camera

_GRID = 24
"""Points along each side of the image that the refitted lens is compared at."""


def without_k3(camera: Camera) -> tuple[Camera, float]:
    """The camera whose focal length, k1, k2, p1, p2 move the image's pixels least, and by how much at most (px).

    Distorted coordinates are linear in the coefficients (Brown 1971), so this is one linear least squares problem.
    """
    if len(camera.distortion) < 5:
        return camera, 0.0
    x, y = np.meshgrid(np.linspace(0, camera.width, _GRID), np.linspace(0, camera.height, _GRID))
    pixels = np.stack([x.ravel(), y.ravel()], axis=-1)[:, None]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    distortion = np.array(camera.distortion)
    u, v = cv2.undistortPoints(pixels, camera.matrix, distortion, criteria=criteria)[:, 0].T
    r2 = u * u + v * v
    design = np.concatenate(
        [
            camera.fx * np.stack([u, u * r2, u * r2**2, 2 * u * v, r2 + 2 * u * u], axis=-1),
            camera.fy * np.stack([v, v * r2, v * r2**2, r2 + 2 * v * v, 2 * u * v], axis=-1),
        ]
    )
    k3 = np.concatenate([camera.fx * u * r2**3, camera.fy * v * r2**3]) * camera.distortion[4]
    change, *_ = np.linalg.lstsq(design, k3, rcond=None)
    moved = (design @ change - k3).reshape(2, -1)
    longer = 1 + float(change[0])
    coefficients = canonical_distortion((distortion[:4] + change[1:]) / longer)
    refitted = replace(camera, fx=camera.fx * longer, fy=camera.fy * longer, distortion=coefficients)
    return refitted, float(np.linalg.norm(moved, axis=0).max())
