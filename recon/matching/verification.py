"""Two-view verification: which matches agree with one rigid motion between two photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap
from jaxtyping import Float

from recon.geometry.fit import nearest_rotation
from recon.matching.features import Matches
from recon.photos import Photo

_FIELD_OF_VIEW_DEG = 60.0
"""Along the long side, for photos that say nothing of their focal length."""
_FIELDS_OF_VIEW_DEG = np.geomspace(20, 120, 30)
"""Tried where a pure rotation is looked for and a focal length is not known."""
_ROTATION_SHARE = 0.9
"""Of the verified matches that a pure rotation must explain."""
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
    none = Verified(matches.only(np.zeros(len(matches), bool)), "none", None)
    if len(matches) < min_matches:
        return none
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = min_matches
    options.compute_relative_pose = True
    # A static border or caption is what this looks for; it also fires on photos taken with little parallax.
    options.detect_watermark = False
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
    H = geometry.H
    if model == "planar" and H is not None and _is_rotation(photos, keypoints, matches.only(keep), H, max_error_px):
        model = "panoramic"
    angle = float(np.degrees(geometry.tri_angle))
    has_angle = model != "panoramic" and np.isfinite(angle) and angle > 0
    return Verified(matches.only(keep), model, round(angle, 3) if has_angle else None)


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
