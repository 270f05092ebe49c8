"""Two-view verification: which matches agree with one rigid motion between two photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from recon.geometry.fit import nearest_rotation
from recon.matching.features import Matches
from recon.photos import Photo

_FIELD_OF_VIEW_DEG = 60.0
"""Along the long side, for photos that say nothing of their focal length."""
_FIELDS_OF_VIEW_DEG = np.geomspace(20, 120, 30)
"""Tried where a pure rotation is looked for and a focal length is not known."""
_ROTATION_SHARE = 0.9
"""Of the verified matches that a pure rotation must explain."""
_STILL = 0.001
"""Matches that move by less, as a share of the long side, do not move: a fourth of the tolerance of verification."""
_HARDLY = 3
"""Where what is seen moves smoothly, eight times as many matches move by one to so many times `_STILL` as do not
move. Where more stand still than that, these are not part of what is seen."""
_STILL_AREA = 0.25
"""Share of the cells with keypoints from which on what stands still is the scene itself, seen from one tripod."""
_STILL_CELLS = 16
"""Along and across a photo."""
_NEAR_STILL = 0.01
"""Share of the long side within which a match from one still point to another belongs to the same burnt-in thing."""
_FEWEST_STILL = 8
"""Fewer cannot pass for a geometry of their own."""
_MODELS = {
    pycolmap.TwoViewGeometryConfiguration.CALIBRATED: "general",
    pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED: "general",
    pycolmap.TwoViewGeometryConfiguration.PLANAR: "planar",
    pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC: "planar",
    pycolmap.TwoViewGeometryConfiguration.PANORAMIC: "panoramic",
}


@dataclass(frozen=True)
class Verified:
    """The matches of a pair that agree with a two-view geometry."""

    matches: Matches
    model: str
    """`general`, `planar`, `panoramic`, or `none` where too few agree."""
    median_angle_deg: float | None
    """Between the two rays to a point, by known or guessed focal lengths; None where there is no baseline."""
    F: Float[np.ndarray, "3 3"] | None = None
    """Fundamental matrix, pixels of the original photos; None where none was found."""
    H: Float[np.ndarray, "3 3"] | None = None
    """The homography that most matches agree with, from the first photo to the second."""
    still: int = 0
    """Matches that were dropped first because they do not move while others do."""


def verify(
    photos: tuple[Photo, Photo],
    keypoints: tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "M 2"]],
    matches: Matches,
    max_error_px: float,
    min_matches: int,
    seed: int,
) -> Verified:
    """Fit fundamental matrix, homography and, where both focal lengths are known, essential matrix by RANSAC.

    Args:
        keypoints: pixels of the original photos.
        max_error_px: in pixels of the original photos.
        min_matches: fewer inliers make the pair `none`.
    """
    still = find_still(photos, keypoints, matches)
    matches = matches.only(~still)
    none = Verified(matches.only(np.zeros(len(matches), bool)), "none", None, still=int(still.sum()))
    if len(matches) < min_matches:
        return none
    options = pycolmap.TwoViewGeometryOptions()
    # Its own tests for what stands still look at borders only, and fire on photos taken with little parallax.
    options.detect_watermark = False
    options.min_num_inliers = min_matches
    options.compute_relative_pose = True
    options.ransac.max_error = max_error_px
    options.ransac.random_seed = seed
    geometry = pycolmap.estimate_two_view_geometry(
        _camera(photos[0]),
        keypoints[0],
        _camera(photos[1]),
        keypoints[1],
        matches.pairs.astype(np.uint32),
        options,
    )
    model = _MODELS.get(pycolmap.TwoViewGeometryConfiguration(geometry.config), "none")
    if model == "none" or len(geometry.inlier_matches) < min_matches:
        return none
    # Each keypoint occurs once, so the first column identifies the match.
    keep = np.isin(matches.pairs[:, 0], geometry.inlier_matches[:, 0])
    F, H = geometry.F, geometry.H
    # A plane leaves F open, but the matches beside it may tell; and H is not kept where nothing is flat.
    a, b = _points(keypoints, matches)
    if F is None:
        found = pycolmap.estimate_fundamental_matrix(a, b, options.ransac)
        F = None if found is None else found["F"]
    if H is None:
        found = pycolmap.estimate_homography_matrix(a, b, options.ransac)
        H = None if found is None else found["H"]
    if model == "planar" and H is not None and _is_rotation(photos, keypoints, matches.only(keep), H, max_error_px):
        model = "panoramic"
    angle = float(np.degrees(geometry.tri_angle))
    has_angle = model != "panoramic" and np.isfinite(angle) and angle > 0
    return Verified(matches.only(keep), model, round(angle, 3) if has_angle else None, F, H, int(still.sum()))


def find_still(
    photos: tuple[Photo, Photo],
    keypoints: tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "M 2"]],
    matches: Matches,
) -> Bool[np.ndarray, " K"]:
    """The matches of what was burnt into both photos at the same pixels: logos, captions, time stamps.

    They fill a small part of the photo, and hardly any match moves a little, as it would where a scene stands still.
    """
    none = np.zeros(len(matches), bool)
    size = photos[0].width, photos[0].height
    if size != (photos[1].width, photos[1].height):
        return none
    a, b = keypoints[0][matches.pairs[:, 0]], keypoints[1][matches.pairs[:, 1]]
    step = _STILL * max(size)
    moved = np.linalg.norm(a - b, axis=1) / step
    still = moved < 1
    scale = _STILL_CELLS / np.array(size)
    burnt, all_cells = (len(np.unique((at * scale).astype(int), axis=0)) for at in (a[still], keypoints[0]))
    hardly = (~still & (moved < _HARDLY)).sum()
    if still.sum() < max(_FEWEST_STILL, hardly) or burnt >= _STILL_AREA * all_cells:
        return none
    # Parts of a logo match each other, too.
    tree = cKDTree(a[still])
    near = [tree.query(at, distance_upper_bound=_NEAR_STILL * max(size))[0] < np.inf for at in (a, b)]
    return near[0] & near[1]


def _is_rotation(
    photos: tuple[Photo, Photo],
    keypoints: tuple[np.ndarray, np.ndarray],
    matches: Matches,
    H: Float[np.ndarray, "3 3"],
    max_error_px: float,
) -> bool:
    """Whether the homography is that of a camera turned on the spot, at some focal length.

    H = K' R K^-1 then (Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2004, section
    8.4). A wrong guess of the focal length would make a translation of it, so several are tried.
    """
    a = np.column_stack([keypoints[0][matches.pairs[:, 0]], np.ones(len(matches))])
    b = keypoints[1][matches.pairs[:, 1]]
    for angle in _FIELDS_OF_VIEW_DEG:
        Ka, Kb = (_camera(photo, angle).calibration_matrix() for photo in photos)
        M = np.linalg.inv(Kb) @ H @ Ka
        turn = nearest_rotation(M * np.sign(np.linalg.det(M)))
        turned = a @ (Kb @ turn @ np.linalg.inv(Ka)).T
        error = np.linalg.norm(turned[:, :2] / turned[:, 2:] - b, axis=1)
        if (error < max_error_px).mean() >= _ROTATION_SHARE:
            return True
    return False


def _points(
    keypoints: tuple[np.ndarray, np.ndarray], matches: Matches
) -> tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]]:
    a, b = (keypoints[k][matches.pairs[:, k]].astype(np.float64) for k in range(2))
    return a, b


def _camera(photo: Photo, field_of_view_deg: float = _FIELD_OF_VIEW_DEG) -> pycolmap.Camera:
    half_long_side = max(photo.width, photo.height) / 2
    focal = photo.focal_px or half_long_side / np.tan(np.radians(field_of_view_deg / 2))
    camera = pycolmap.Camera(
        model="SIMPLE_PINHOLE",
        width=photo.width,
        height=photo.height,
        params=[focal, photo.width / 2, photo.height / 2],
    )
    camera.has_prior_focal_length = photo.focal_px is not None
    return camera
