"""Which cameras have a fisheye lens, told by their matches.

A fundamental matrix (7 parameters) explains the matches of a pinhole at any focal length, and loses those near the
edges of a fisheye's photos, whose epipolar lines are curved. An essential matrix (5 parameters) on the sphere of an
equidistant fisheye explains them all at the right focal length. Where it explains clearly more with less, the lens is
a fisheye.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap
from jaxtyping import Float, Int

from fewview.recon.photos import Photo

_ANGLES_DEG = (120.0, 90.0, 105.0, 140.0, 160.0, 185.0)
"""Fields of view along the long side that are tried. Where the first explains no more than `_NEARLY`, none would."""
_PAIRS = 4
"""Of a camera, those with the most matches."""
_MIN_MATCHES = 100
"""Of a pair, to be asked."""
_EXPLAINED = 0.985
"""Share of the matches that agree with a fundamental matrix from which nothing is left for a fisheye to explain."""
_GAIN = 1.02
"""Matches that the fisheye must explain, over those of the fundamental matrix."""
_NEARLY = 0.97
"""The same at a wrong focal length, to go on looking."""
_NARROW = 0.75
"""Recorded focal length, in long sides, from which a lens is none (67 degrees)."""


@dataclass(frozen=True)
class Tried:
    """Two photos of one camera and their matches before verification."""

    photos: tuple[int, int]
    pairs: Int[np.ndarray, "M 2"]
    verified: int
    """How many of them agree with the best two-view geometry of pinholes."""


def find_fisheyes(
    photos: Sequence[Photo],
    keypoints: Sequence[Float[np.ndarray, "_ 2"]],
    tried: Sequence[Tried],
    error_share: float,
    seed: int,
) -> dict[str, float]:
    """Focal lengths, in long sides, of the camera groups that have a fisheye.

    Args:
        keypoints: pixels of the originals.
        error_share: how far a match may lie from the epipolar line, in long sides of the photo.
    """
    found = {}
    for group in sorted({photo.camera_group for photo in photos}):
        own = [t for t in tried if all(photos[i].camera_group == group for i in t.photos)]
        own = sorted((t for t in own if len(t.pairs) >= _MIN_MATCHES), key=lambda t: (-len(t.pairs), t.photos))[:_PAIRS]
        pinhole, every = sum(t.verified for t in own), sum(len(t.pairs) for t in own)
        if not own or pinhole > _EXPLAINED * every or _is_narrow(photos, group):
            continue
        best = (0, 0.0)
        for angle in _ANGLES_DEG:
            focal = float(1 / np.radians(angle))
            best = max(best, (sum(_explained(photos, keypoints, t, focal, error_share, seed) for t in own), focal))
            if best[0] < _NEARLY * pinhole:
                break
        if best[0] > _GAIN * pinhole:
            found[group] = best[1]
    return found


def _is_narrow(photos: Sequence[Photo], group: str) -> bool:
    recorded = [p.focal_px / max(p.width, p.height) for p in photos if p.camera_group == group and p.focal_px]
    return bool(recorded) and min(recorded) > _NARROW


def _explained(
    photos: Sequence[Photo],
    keypoints: Sequence[Float[np.ndarray, "_ 2"]],
    tried: Tried,
    focal: float,
    error_share: float,
    seed: int,
) -> int:
    """Matches that agree with an essential matrix between equidistant fisheyes of this focal length (long sides)."""
    options = pycolmap.TwoViewGeometryOptions()
    long_side = max(max(photos[i].width, photos[i].height) for i in tried.photos)
    options.ransac.max_error = error_share * long_side
    options.ransac.random_seed = seed
    a, b = tried.photos
    geometry = pycolmap.estimate_calibrated_two_view_geometry(
        _fisheye(photos[a], focal), keypoints[a].astype(np.float64),
        _fisheye(photos[b], focal), keypoints[b].astype(np.float64),
        tried.pairs.astype(np.uint32), options,
    )  # fmt: skip
    calibrated = geometry.config == pycolmap.TwoViewGeometryConfiguration.CALIBRATED
    return len(geometry.inlier_matches) if calibrated else 0


def _fisheye(photo: Photo, focal: float) -> pycolmap.Camera:
    camera = pycolmap.Camera(
        model="SIMPLE_RADIAL_FISHEYE",
        width=photo.width,
        height=photo.height,
        params=[focal * max(photo.width, photo.height), photo.width / 2, photo.height / 2, 0.0],
    )
    camera.has_prior_focal_length = True
    return camera
