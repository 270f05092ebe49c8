"""The final bundle adjustment: what may be believed of the intrinsics, and which observations stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fewview.recon.sfm.bundle import Bundle, PosePrior, Prior, adjust, cost
from fewview.recon.sfm.mapping import Candidate, Sensors

EXIF_DEVIATION = 0.05
"""Of the logarithm of a recorded focal length: a 35 mm equivalent is rounded to whole millimetres."""
GUESS_DEVIATION = 0.5
"""Of the logarithm of a focal length that nothing is known of, about 60 degrees of field of view along the long side,
31 mm of a 35 mm camera: 19 times in 20 between 12 and 83 mm, from the ultra-wide (13 mm) to the telephoto lenses
(77 mm) of phones and over what is sold with cameras (18 to 55 mm of APS-C: 27 to 83 mm)."""
# The principal point and k1 are held tighter than lenses are made, because matches err together over whole
# regions, and few photos explain that by moving the principal point. Measured at 3 and 6 photos of five
# scenes: a deviation of .001 gives mean rotation errors of .41 and .22 degrees, .006 .53 and .26, a fixed
# centre .43 and .29.
PRINCIPAL_DEVIATION = 0.001
"""Of the principal point from the centre, in long sides."""
K1_DEVIATION = 0.03
_EXACT = 1e-9
"""Deviation of what is given."""
SUPPORTED_PX = 1.0
"""Distortion that moves the corners of the photo by less is left out."""
SUPPORT = 10.0
"""By how much distortion must raise the logarithm of the probability: it bends scenes that a few wrong matches
ask it to."""


def make_prior(candidate: Candidate, sensors: Sensors, known_focals: dict[int, float], guess_px: np.ndarray) -> Prior:
    """The prior for a candidate's lenses and sensors.

    Args:
        known_focals: recorded focal length in working pixels, by lens.
        guess_px: focal length at 60 degrees, working pixels, per lens.
    """
    lenses = np.unique(sensors.lens[candidate.photos])
    used = np.unique(sensors.sensor[candidate.photos])
    known = np.array([lens in known_focals for lens in lenses])
    exact = sensors.exact[lenses]
    focal = np.array([known_focals.get(int(lens), guess_px[lens]) for lens in lenses])
    log_focal_deviation = np.where(known, EXIF_DEVIATION, GUESS_DEVIATION)
    principal_deviation = PRINCIPAL_DEVIATION * sensors.size[used].max(axis=1)
    return Prior(
        log_focal=np.log(focal),
        log_focal_deviation=np.where(exact, _EXACT, log_focal_deviation),
        k1_deviation=np.where(exact, _EXACT, K1_DEVIATION),
        principal=sensors.size[used] / 2,
        principal_deviation=np.where(sensors.exact[sensors.lens_of_sensor[used]], _EXACT, principal_deviation),
    )


def refine(candidate: Candidate, prior: Prior, max_error_px: float, min_observations: int) -> Candidate:
    """Adjust, drop outliers and photos that see too little, adjust again.

    Fewer than two photos may be left.
    """
    photos = candidate.photos
    if not len(candidate.bundle.xy):
        return candidate
    candidate = _without_outliers(
        replace(candidate, bundle=adjust(candidate.bundle, prior)), max_error_px, min_observations
    )
    bundle, prior = candidate.bundle, prior_without(prior, photos, candidate.photos)
    if len(candidate.photos) < 2 or not len(bundle.xy):
        return candidate
    bundle = _with_supported_distortion(bundle, prior)
    return _without_outliers(replace(candidate, bundle=bundle), max_error_px, min_observations)


def prior_without(prior: Prior, photos: Sequence[int], left: Sequence[int]) -> Prior:
    """The prior for a model of which only the photos `left` are left."""
    if prior.poses is None:
        return prior
    rows = [photos.index(i) for i in left]
    poses = prior.poses
    kept = PosePrior(poses.R[rows], poses.center[rows], poses.rotation_deviation[rows], poses.center_deviation[rows])
    return replace(prior, poses=kept)


def _with_supported_distortion(bundle: Bundle, prior: Prior) -> Bundle:
    """Adjusted with the distortion that matters and that the observations ask for, of all lenses or of none."""
    small = _corner_shift_px(bundle) < SUPPORTED_PX
    straight = replace(prior, k1_deviation=np.full_like(prior.k1_deviation, _EXACT))
    without = adjust(replace(bundle, k1=np.zeros_like(bundle.k1)), straight)
    without = replace(without, k1=np.zeros_like(bundle.k1))
    if small.all():
        return without
    curved = adjust(bundle, replace(prior, k1_deviation=np.where(small, _EXACT, prior.k1_deviation)))
    curved = replace(curved, k1=np.where(small, 0.0, curved.k1))
    noise = curved.noise_px()
    supported = cost(without, prior, noise) - cost(curved, prior, noise) > SUPPORT
    return curved if supported else without


def _corner_shift_px(bundle: Bundle) -> np.ndarray:
    """How far k1 moves the corner of each lens's largest photo."""
    focal = np.exp(bundle.log_focal)
    radius = np.zeros(len(focal))
    np.maximum.at(radius, bundle.lens, np.linalg.norm(bundle.principal[bundle.sensor], axis=1))
    return focal * np.abs(bundle.k1) * (radius / focal) ** 3


def _without_outliers(candidate: Candidate, max_error_px: float, min_observations: int) -> Candidate:
    bundle = candidate.bundle.only(candidate.bundle.errors_px() < max_error_px)
    photos = candidate.photos
    while photos:
        seen = np.bincount(bundle.image, minlength=len(photos))
        stays = (seen >= min_observations) | bundle.held
        if stays.all():
            break
        # One at a time, the weakest first: the points of one photo may have been another's support.
        gone = int(np.argmin(np.where(stays, len(bundle.xy), seen)))
        bundle = _without_image(bundle, gone)
        photos = photos[:gone] + photos[gone + 1 :]
    return replace(candidate, photos=photos, bundle=bundle)


def without_photo(candidate: Candidate, photo: int) -> Candidate:
    """The model without a photo, and without the points that fewer than two others then see."""
    k = candidate.photos.index(photo)
    photos = candidate.photos[:k] + candidate.photos[k + 1 :]
    return replace(candidate, photos=photos, bundle=_without_image(candidate.bundle, k))


def _without_image(bundle: Bundle, gone: int) -> Bundle:
    bundle = bundle.only(bundle.image != gone)
    keep = np.arange(len(bundle.R)) != gone
    return replace(
        bundle,
        R=bundle.R[keep],
        t=bundle.t[keep],
        lens=bundle.lens[keep],
        sensor=bundle.sensor[keep],
        image=bundle.image - (bundle.image > gone),
        held=bundle.held[keep],
    )
