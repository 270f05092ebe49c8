"""A pointmap: where in space each pixel of a photo lies, as far as a network (or anything else) knows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SAMPLES = 1200
"""Maps are thinned to a grid of about so many pixels: cameras have few parameters, and memory stays small."""
_ROUNDS = 20
_STEEPEST = 4.0
"""In median slopes; corners of a photo have two to three."""
_TINY = 1e-9


@dataclass(frozen=True)
class Pointmap:
    """What one photo shows, at a grid of its pixels."""

    points: Float[np.ndarray, "H W 3"]
    """Float64, 0 where nothing is known."""
    weights: Float[np.ndarray, "H W"]
    """The logarithm of the confidence; 0 where nothing is known."""
    x: Float[np.ndarray, " W"]
    """Of the columns, in pixels of the upright original, from the centre of the photo."""
    y: Float[np.ndarray, " H"]
    """Of the rows."""

    @property
    def pixels(self) -> Float[np.ndarray, "H W 2"]:
        return np.stack(np.meshgrid(self.x, self.y), axis=-1)

    @property
    def score(self) -> float:
        """Mean weight."""
        return float(self.weights.mean())


def make_pointmap(
    points: Float[np.ndarray, "H W 3"], confidence: Float[np.ndarray, "H W"], size: tuple[int, int]
) -> Pointmap:
    """A thinned map, laid on its photo: it covers the largest window about the centre that has its shape.

    Args:
        confidence: at least 1 where something is known (DUSt3R's convention); 1 and less, and what is not finite,
            counts for nothing.
        size: width and height of the upright original in pixels.
    """
    height, width = confidence.shape
    scale = min(size[0] / width, size[1] / height)
    stride = max(1, math.ceil(math.sqrt(height * width / SAMPLES)))
    rows, columns = (np.arange((n % stride or stride) // 2, n, stride) for n in (height, width))
    grid = np.ix_(rows, columns)
    points, confidence = points[grid].astype(np.float64), confidence[grid].astype(np.float64)
    known = np.isfinite(points).all(axis=-1) & np.isfinite(confidence) & (confidence > 1)
    return Pointmap(
        np.where(known[..., None], points, 0.0),
        np.log(np.where(known, confidence, 1.0)),
        (columns + 0.5 - width / 2) * scale,
        (rows + 0.5 - height / 2) * scale,
    )


def estimate_focal(pointmap: Pointmap) -> float:
    """The focal length of a map in its own camera's frame, in pixels of the original; its axis is the centre.

    Minimises sum w |p - f (x, y) / z| over the pixels p (DUSt3R, CVPR 2024, section 3.3) by Weiszfeld's reweighting.

    Raises:
        ValueError: nothing of the map is in front of the camera, or no focal length fits.
    """
    usable = (pointmap.weights > 0) & (pointmap.points[..., 2] > 0)
    if not usable.any():
        raise ValueError("no confident point lies in front of the camera")
    slopes = pointmap.points[usable][:, :2] / pointmap.points[usable][:, 2:]
    # Strays beside the camera have slopes without bound: a few would outvote all others.
    steep = np.linalg.norm(slopes, axis=1)
    sound = steep <= _STEEPEST * np.median(steep)
    pixels, weights, slopes = pointmap.pixels[usable][sound], pointmap.weights[usable][sound], slopes[sound]
    focal = float(np.median((pixels * slopes).sum(axis=1) / np.maximum((slopes**2).sum(axis=1), _TINY)))
    least = 1e-4 * np.abs(pixels).max()
    for _ in range(_ROUNDS):
        share = weights / np.maximum(np.linalg.norm(pixels - focal * slopes, axis=1), least)
        focal = float((share @ (pixels * slopes).sum(axis=1)) / max(share @ (slopes**2).sum(axis=1), _TINY))
    if focal <= 0:
        raise ValueError("the points contradict the grid of their pixels: no focal length fits")
    return focal
