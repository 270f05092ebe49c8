"""What speaks for a model: matches that agree with its poses, and points that fit as well as is usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewview.recon.sfm.bundle import Bundle, epipolar_px
from fewview.recon.sfm.graph import MatchGraph, Pair
from fewview.recon.sfm.mapping import Candidate, Sensors

# Of the matches of true ties, .95 agree with right poses in 95 of 100 and .9 in 99; of false ties that models were
# made of, 65 of 100 have less than .9, and poses that such a tie bent leave true ones .8 to .95
# (tests.benchmarks.places).
AGREES_SHARE = 0.5
"""A tie agrees with the poses where at least so many of its matches do, and these are used; else it contradicts."""
_ALL = 0.95
"""Share from which nothing is missing."""
_DOUBT = 10.0
"""Log odds that an agreeing tie loses per share that is missing."""
_NO_PARALLAX_DEG = 0.3
"""Rays that differ by less tell nothing of the side on which they meet."""
_MISFIT = 4.0
_MISFIT_PX = 0.8
"""Misfits have a median error that is so many times the usual one, and more than so many pixels. Of 120 photos of
nine scenes, none had more than 2.4 times the usual one; a mirrored one has 7 times."""
_MIN_PHOTOS = 4


@dataclass(frozen=True)
class Agreement:
    """How a pair of registered photos fits the model."""

    pair: Pair
    agrees: Bool[np.ndarray, " M"]
    """Per match: near its epipolar line, and in front of both cameras."""

    @property
    def share(self) -> float:
        return float(self.agrees.mean())

    @property
    def log_odds(self) -> float:
        """Of the tie, if it agrees: less where a part of its matches does not."""
        return self.pair.log_odds - lost(self.share)

    @property
    def supports(self) -> bool:
        return self.share >= AGREES_SHARE

    @property
    def contradicts(self) -> bool:
        return not self.supports


def lost(share: float) -> float:
    """Log odds that a tie loses of whose matches only such a share agrees."""
    return _DOUBT * max(0.0, _ALL - share)


def agreements(model: Candidate, graph: MatchGraph, sensors: Sensors, max_error_px: float) -> list[Agreement]:
    """Of all pairs of registered photos that have matches."""
    place = {i: k for k, i in enumerate(model.photos)}
    found = []
    for pair in graph.pairs:
        if pair.a in place and pair.b in place and len(pair.matches):
            k = place[pair.a], place[pair.b]
            xy = [graph.keypoints[i][pair.matches[:, c]] * sensors.scale[i] for c, i in enumerate((pair.a, pair.b))]
            found.append(Agreement(pair, _agree(model.bundle, k, (xy[0], xy[1]), max_error_px)))
    return found


def misfits(model: Candidate) -> list[int]:
    """Photos whose points lie several times as far beside where the others put them as is usual.

    The picture of a symmetric thing, mirrored, finds a place that explains it, but not exactly.
    """
    bundle, errors = model.bundle, model.bundle.errors_px()
    if len(model.photos) < _MIN_PHOTOS:
        return []
    each = [errors[bundle.image == k] for k in range(len(model.photos))]
    median = np.array([np.median(found) if len(found) else 0.0 for found in each])
    usual = np.median(median[[len(found) > 0 for found in each]]) if len(errors) else 0.0
    worse = (median > _MISFIT * usual) & (median > _MISFIT_PX)
    return [i for k, i in enumerate(model.photos) if worse[k]]


def _agree(
    bundle: Bundle,
    images: tuple[int, int],
    xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]],
    max_error_px: float,
) -> Bool[np.ndarray, " M"]:
    """Sampson's distance to the epipolar lines, and the side on which the rays meet."""
    (k, m), (x, y) = images, (bundle.rays(image, at) for image, at in zip(images, xy, strict=True))
    near = epipolar_px(bundle, images, (x, y)) < max_error_px
    R = bundle.R[m] @ bundle.R[k].T
    t = bundle.t[m] - R @ bundle.t[k]
    # Depths s, r of the point on both rays: s R x + t = r y, in the least squares sense.
    turned = x @ R.T
    a, b, c = (turned**2).sum(axis=1), (turned * y).sum(axis=1), (y**2).sum(axis=1)
    determinant = np.maximum(a * c - b * b, 1e-18)
    s = (b * (y @ t) - c * (turned @ t)) / determinant
    r = (a * (y @ t) - b * (turned @ t)) / determinant
    parallax = np.sqrt(determinant / (a * c)) > np.sin(np.radians(_NO_PARALLAX_DEG))
    return near & (~parallax | ((s > 0) & (r > 0)))
