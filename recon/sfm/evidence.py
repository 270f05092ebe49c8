"""What speaks for a model and against it: matches that agree with its poses, and photos that should match.

Repeated structure matches too, and mapping makes a consistent model of wrong matches. Three things tell:
the odds of the ties themselves (`Pair.log_odds`); ties of other pairs contradict the poses; and
photos that the model puts side by side, looking the same way, ought to share what they see (Zach, Irschara and
Bischof, "What Can Missing Correspondences Tell Us about 3D Structure and Motion?", CVPR 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

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
_SAME_DIRECTION_DEG = 25.0
_SAME_SCALE = 1.5
_OVERLAP = 0.5
"""Photos that look from one direction on as much of each other's points should match."""
_MISSING = 0.03
"""They contradict the model where they share less of them."""
_MIN_POINTS = 50
"""Photos with fewer points are not judged by what they miss."""
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


def missing(model: Candidate) -> list[tuple[int, int]]:
    """Pairs of photos that the model says to show the same from the same side, but that share nothing."""
    bundle = model.bundle
    seen = np.zeros((len(bundle.R), len(bundle.points)), bool)
    seen[bundle.image, bundle.point] = True
    centers = -np.einsum("nji,nj->ni", bundle.R, bundle.t)
    visible = np.array([bundle.in_frame(k) for k in range(len(bundle.R))])
    found = []
    for k, m in combinations(range(len(bundle.R)), 2):
        expected = []
        for one, other in ((k, m), (m, k)):
            mine = bundle.points[seen[one]]
            rays = mine - centers[one], mine - centers[other]
            lengths = [np.linalg.norm(ray, axis=1) for ray in rays]
            cosine = (rays[0] * rays[1]).sum(axis=1) / (lengths[0] * lengths[1])
            alike = cosine > np.cos(np.radians(_SAME_DIRECTION_DEG))
            alike &= np.abs(np.log(lengths[0] / lengths[1])) < np.log(_SAME_SCALE)
            expected.append((alike & visible[other, seen[one]]).mean() if len(mine) >= _MIN_POINTS else 0.0)
        shared = (seen[k] & seen[m]).sum() / max(min(seen[k].sum(), seen[m].sum()), 1)
        if min(expected) > _OVERLAP and shared < _MISSING:
            found.append((model.photos[k], model.photos[m]))
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
