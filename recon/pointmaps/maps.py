"""A pointmap: where in space each pixel of a photo lies, as far as a network (or anything else) knows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from fewview.recon.geometry.fit import reweighted
from fewview.recon.geometry.pose import invert_rigid, transform

SAMPLES = 2000
"""Maps are thinned to a grid of about so many pixels: cameras have few parameters, and memory stays small."""
_ROUNDS = 20
_STEEPEST = 4.0
"""In median slopes; corners of a photo have two to three."""
_TINY = 1e-9
_MISS = 0.1
"""Of the focal length: points of a map that miss their pixels by more contradict its pose."""


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


@dataclass(frozen=True)
class PlacedMap:
    """A photo's pinhole camera, its axis through the centre, and the depth of a grid of its pixels."""

    T_world_camera: Float[np.ndarray, "4 4"]
    focal_px: float
    """In pixels of the upright original."""
    depth: Float[np.ndarray, "H W"]
    """z-depth in units of the world."""
    weights: Float[np.ndarray, "H W"]
    """Logarithm of the confidence; 0 where nothing is known."""
    x: Float[np.ndarray, " W"]
    """Of the columns, in pixels of the upright original, from the centre of the photo."""
    y: Float[np.ndarray, " H"]
    """Of the rows."""


def make_pointmap(
    points: Float[np.ndarray, "H W 3"],
    confidence: Float[np.ndarray, "H W"],
    size: tuple[int, int],
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> Pointmap:
    """A thinned map, laid on its photo: it covers the largest window about the centre that has its shape.

    Args:
        confidence: at least 1 where something is known (DUSt3R's convention); 1 and less, and what is not finite,
            counts for nothing.
        size: width and height of the upright original in pixels.
        mask: of the whole photo, at any size; where it is False, nothing is known.
    """
    height, width = confidence.shape
    scale = min(size[0] / width, size[1] / height)
    stride = max(1, math.ceil(math.sqrt(height * width / SAMPLES)))
    rows, columns = (np.arange((n % stride or stride) // 2, n, stride) for n in (height, width))
    grid = np.ix_(rows, columns)
    points, confidence = points[grid].astype(np.float64), confidence[grid].astype(np.float64)
    known = np.isfinite(points).all(axis=-1) & np.isfinite(confidence) & (confidence > 1)
    x, y = (columns + 0.5 - width / 2) * scale, (rows + 0.5 - height / 2) * scale
    if mask is not None:
        there = [((at / n + 0.5) * m).astype(int) for at, n, m in zip((y, x), size[::-1], mask.shape, strict=True)]
        known &= mask[np.ix_(*there)]
    return Pointmap(np.where(known[..., None], points, 0.0), np.log(np.where(known, confidence, 1.0)), x, y)


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
    along, square = (pixels * slopes).sum(axis=1), (slopes**2).sum(axis=1)
    least = 1e-4 * np.abs(pixels).max()

    def weigh(focal: float) -> Float[np.ndarray, " N"]:
        return weights / np.maximum(np.linalg.norm(pixels - focal * slopes, axis=1), least)

    def fit(share: Float[np.ndarray, " N"]) -> float:
        return float((share @ along) / max(share @ square, _TINY))

    focal = reweighted(fit, weigh, weigh(float(np.median(along / np.maximum(square, _TINY)))), _ROUNDS)
    if focal <= 0:
        raise ValueError("the points contradict the grid of their pixels: no focal length fits")
    return focal


def place_map(pointmap: Pointmap, T_world_camera: Float[np.ndarray, "4 4"]) -> PlacedMap:
    """A map whose points are in the world, with the pose of its camera.

    Raises:
        ValueError: the pose contradicts the points.
    """
    T = invert_rigid(T_world_camera)
    own = replace(pointmap, points=transform(T, pointmap.points))
    focal, depth = estimate_focal(own), own.points[..., 2]
    weights = np.where(depth > 0, pointmap.weights, 0.0)
    slopes = own.points[..., :2] / np.where(weights > 0, depth, 1.0)[..., None]
    miss = np.linalg.norm(own.pixels - focal * slopes, axis=-1)[weights > 0]
    if np.median(miss) > _MISS * focal:
        raise ValueError(
            f"its points miss their pixels by {np.median(miss):.0f} px, so its pose is not that of its map"
        )
    return PlacedMap(T_world_camera, focal, depth, weights, pointmap.x, pointmap.y)
