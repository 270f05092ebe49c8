"""Squares around people, cut out for networks, and what networks answer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Region:
    """A square around a person, turned so that they stand upright in it; pixels, centres at half-integers."""

    centre: Float[np.ndarray, " 2"]
    side: float
    angle: float
    """Radians, from the image's up to the person's, clockwise."""

    def to_image(self, scale: float = 1.0) -> Float[np.ndarray, "2 3"]:
        """From crop coordinates in [0, `scale`] to pixels."""
        c, s = np.cos(self.angle) * self.side / scale, np.sin(self.angle) * self.side / scale
        A = np.array([[c, -s], [s, c]])
        return np.column_stack([A, self.centre - A @ [scale / 2, scale / 2]])


def cut(rgb: UInt8[np.ndarray, "H W 3"], region: Region, side: int) -> Float[np.ndarray, "S S 3"]:
    """The region as an upright picture of `side` pixels in [0, 1], black outside the image."""
    shrink = max(1, int(region.side / side))
    M = region.to_image(side)
    if shrink > 1:  # averaged first: single pixels of a large picture are noise
        height, width = rgb.shape[0] // shrink, rgb.shape[1] // shrink
        M = M * np.array([[width / rgb.shape[1]], [height / rgb.shape[0]]])
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    M[:, 2] += M[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts pixel centres from integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(rgb, M, (side, side), flags=flags).astype(np.float32) / np.float32(255)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # no overflow
