"""Pictures that no lens makes: panoramas of 360 degrees in equirectangular projection, told by what they show.

Their columns are directions, so the last column is followed by the first, and each of their poles, the top and the
bottom row, is a single point of the sphere. Programs that make them say so in XMP (Google's photo sphere metadata,
`GPano:ProjectionType`), which editors lose.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from jaxtyping import UInt8

_SIZE = (512, 256)
"""Width and height, in pixels, at which a picture is looked at: noise averages out, and the seam stays thin."""
_SHAPE_TOLERANCE = 0.005
"""By how much the width may differ from twice the height, as a share."""
_SEAM = 0.5
"""Correlation of the brightness steps down the first and the last column. Five rendered panoramas: .58 to .80. 675
crops of 2:1 from the photos of ten real sets and five cases: at most .52, but for one nearly flat edge with .62."""
_POLE = 0.25
"""Spread of the brightness along the flatter of the top and bottom rows, as a share of that of the median row. The
panoramas: .00 to .14; the three crops with the highest correlations .32 to 1.35."""
_PROJECTION = re.compile(rb"GPano:ProjectionType\s*(?:=\s*[\"']|>)\s*equirectangular")


def says_panorama(xmp: bytes) -> bool:
    """Whether XMP metadata call the picture equirectangular."""
    return _PROJECTION.search(xmp) is not None


def shows_panorama(rgb: UInt8[np.ndarray, "H W 3"]) -> bool:
    """Whether a picture is twice as wide as high, goes on at its left where it ends at its right, and has a pole."""
    height, width = rgb.shape[:2]
    if abs(width / (2 * height) - 1) > _SHAPE_TOLERANCE:
        return False
    grey = cv2.cvtColor(cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
    left, right = np.diff(grey[:, 0]), np.diff(grey[:, -1])
    both = float(np.linalg.norm(left) * np.linalg.norm(right))
    spread = grey.std(axis=1)
    has_pole = min(spread[0], spread[-1]) < _POLE * np.median(spread)
    return bool(both > 0 and left @ right > _SEAM * both and has_pole)
