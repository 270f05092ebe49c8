"""Two-view verification: which matches agree with one rigid motion between two photos."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap
from jaxtyping import Bool, Float
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.fit import nearest_rotation
from fewview.recon.matching.artifact import TURNED_SHARE
from fewview.recon.matching.features import Matches
from fewview.recon.photos import Photo

_FIELD_OF_VIEW_DEG = 60.0
"""Along the long side, for photos that say nothing of their focal length."""
_FIELDS_OF_VIEW_DEG = np.geomspace(10, 120, 20)
"""Of the first photo, from which a turn and a zoom is fitted."""
_SPOT_SHARE = 0.85
"""Of the matches that any geometry explains, those that a turn and a zoom must explain: .89 to .99 of three museum
photos of a zoom."""
_ZOOM = 1.3
"""Ratio of the focal lengths from which on a pair is zoomed."""
_PLANE_GAIN = 1.5
"""So many times the error of a free homography a turn with a zoom may leave: 1.3 in those photos."""
_NOISE = 0.05
"""Least noise of a match, as a share of the tolerance: .2 px, of keypoints found to a fraction of a pixel."""
_LENS = 0.0008
"""Of the long side, by which lenses move matches from where a pinhole would have them: .0009 in two phone photos of one
zoom, turned on the spot, and on those it was chosen. Of some 600 pairs with parallax in ten real sets two then pass for
turned, at .2 and 2.2 degrees of it. Mapping, too, leaves out distortion of up to .001 in the corners."""
_BEHIND_PX = 1e4
"""Error of a point that comes to lie behind the camera: larger than any photo."""
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
    turned_share: float = 0.0
    """Share of the matches that any geometry explains which a turn and a zoom on the spot explains; 0 where a free
    homography does not explain `TURNED_SHARE`."""
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
        guessed_camera(photos[0]),
        keypoints[0],
        guessed_camera(photos[1]),
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
    turned_share = 0.0
    if F is not None and H is not None:
        there = (_sampson(F, a, b) < max_error_px) | (_distance(H, a, b) < max_error_px)
        turned_share, on_the_spot = _turned(photos, (a[there], b[there]), H, F, max_error_px)
        if model != "general":
            model = "panoramic" if on_the_spot else "planar"
    angle = float(np.degrees(geometry.tri_angle))
    has_angle = model != "panoramic" and np.isfinite(angle) and angle > 0
    median_angle_deg = round(angle, 3) if has_angle else None
    return Verified(matches.only(keep), model, median_angle_deg, F, H, round(turned_share, 4), int(still.sum()))


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


def _turned(
    photos: tuple[Photo, Photo],
    xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]],
    H: Float[np.ndarray, "3 3"],
    F: Float[np.ndarray, "3 3"],
    max_error_px: float,
) -> tuple[float, bool]:
    """Which share of the matches a camera explains that was turned, and perhaps zoomed, on the spot; whether it was.

    H = K' R K^-1 then (Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2004, section 8.4), with a
    focal length for either photo. Where that is zoomed, it need only explain the matches; else an information
    criterion holds it against the fundamental matrix, for photos taken a step apart are nearly turned ones.

    Args:
        xy: matches that a homography or a fundamental matrix explains.
    """
    if (_distance(H, *xy) < max_error_px).mean() < TURNED_SHARE:
        return 0.0, False
    middle = [np.array([photo.width, photo.height]) / 2 for photo in photos]
    a, b = xy[0] - middle[0], xy[1] - middle[1]
    shift = [np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]) for x, y in middle]
    long_side = max(photos[0].width, photos[0].height)
    turn, zoom = _turn_and_zoom(np.linalg.inv(shift[1]) @ H @ shift[0], a, b, long_side, max_error_px)
    error = _distance(turn, a, b)
    share = float((error < max_error_px).mean())
    if share < _SPOT_SHARE:
        return share, False
    if max(zoom, 1 / zoom) > _ZOOM:
        # Whoever had walked nearer instead would see parallax, but for a plane, which a free homography fits better.
        rms = [np.sqrt((np.minimum(one, max_error_px) ** 2).mean()) for one in (error, _flat_error(a, b))]
        return share, bool(rms[0] < _PLANE_GAIN * rms[1])
    epipolar = _sampson(F, *xy)
    noise = math.hypot(max(1.4826 * float(np.median(epipolar)), _NOISE * max_error_px), _LENS * long_side)
    turned = _gric(error / noise, dimension=2, parameters=5)
    return share, turned < _gric(epipolar / noise, dimension=3, parameters=7)


def _gric(error: Float[np.ndarray, " M"], dimension: int, parameters: int) -> float:
    """Torr, "An Assessment of Information Criteria for Motion Model Selection", CVPR 1997: the less, the better.

    Args:
        error: in standard deviations of the noise of one coordinate.
        dimension: of the manifold of all matches (x, y, x', y') that fit one model.
    """
    count = len(error)
    misfit = np.minimum(error**2, 2 * (4 - dimension)).sum()
    return float(misfit + np.log(4) * dimension * count + np.log(4 * count) * parameters)


def _flat_error(a: Float[np.ndarray, "M 2"], b: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, " M"]:
    """Of the homography that fits best."""
    H = cv2.findHomography(a, b, 0)[0]
    return np.full(len(a), np.inf) if H is None else _distance(H, a, b)


def _turn_and_zoom(
    H: Float[np.ndarray, "3 3"],
    a: Float[np.ndarray, "M 2"],
    b: Float[np.ndarray, "M 2"],
    long_side: int,
    max_error_px: float,
) -> tuple[Float[np.ndarray, "3 3"], float]:
    """The homography of a turn and a zoom that suits the matches best, and the zoom: focal length over focal length.

    Args:
        H, a, b: about the middles of the photos.
        long_side: of the first photo, pixels.
    """
    best = np.inf, np.zeros(5), np.eye(3)

    def homography(p: Float[np.ndarray, " 5"], R0: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        R = Rotation.from_rotvec(p[2:]).as_matrix() @ R0
        return np.diag([np.exp(p[1]), np.exp(p[1]), 1]) @ R @ np.diag([np.exp(-p[0]), np.exp(-p[0]), 1])

    for angle in _FIELDS_OF_VIEW_DEG:
        focal = long_side / 2 / np.tan(np.radians(angle / 2))
        M = H @ np.diag([focal, focal, 1])
        M *= np.sign(np.linalg.det(M))
        rows = np.linalg.norm(M, axis=1)
        other = (rows[0] + rows[1]) / 2 / rows[2]
        R = nearest_rotation(M / np.array([[other], [other], [1]]))
        start = np.array([np.log(focal), np.log(other), 0, 0, 0])
        error = float(np.median(np.linalg.norm(_transfer(homography(start, R), a, b), axis=1)))
        if error < best[0]:
            best = error, start, R
    _, start, R0 = best
    near, p = np.ones(len(a), bool), start
    for loss in ("soft_l1", "linear"):  # what no geometry explains still pulls at the first
        p = least_squares(
            lambda p, near: _transfer(homography(p, R0), a[near], b[near]).ravel(),
            p,
            loss=loss,
            args=(near,),
            max_nfev=30,
        ).x
        near = _distance(homography(p, R0), a, b) < max_error_px
    return homography(p, R0), float(np.exp(p[1] - p[0]))


def _transfer(
    H: Float[np.ndarray, "3 3"], a: Float[np.ndarray, "M 2"], b: Float[np.ndarray, "M 2"]
) -> Float[np.ndarray, "M 2"]:
    """Difference in the second photo, pixels; large for points that come to lie behind."""
    there = np.column_stack([a, np.ones(len(a))]) @ (H * np.sign(np.linalg.det(H))).T
    ahead = there[:, 2:] > 1e-9
    return np.where(ahead, there[:, :2] / np.where(ahead, there[:, 2:], 1) - b, _BEHIND_PX)


def _distance(
    H: Float[np.ndarray, "3 3"], a: Float[np.ndarray, "M 2"], b: Float[np.ndarray, "M 2"]
) -> Float[np.ndarray, " M"]:
    """By which both points of a match must be moved in all to fit the homography, to first order, pixels.

    Other than the error in one photo, it is fair to pairs of unequal zoom.
    """
    there, back = (np.linalg.norm(error, axis=1) for error in (_transfer(H, a, b), _transfer(np.linalg.inv(H), b, a)))
    return there * back / np.maximum(np.hypot(there, back), 1e-12)


def _sampson(
    F: Float[np.ndarray, "3 3"], a: Float[np.ndarray, "M 2"], b: Float[np.ndarray, "M 2"]
) -> Float[np.ndarray, " M"]:
    """The same for the fundamental matrix."""
    x, y = (np.column_stack([points, np.ones(len(points))]) for points in (a, b))
    lines, back = x @ F.T, y @ F
    norm = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return np.abs((lines * y).sum(axis=1)) / np.maximum(norm, 1e-12)


def _points(
    keypoints: tuple[np.ndarray, np.ndarray], matches: Matches
) -> tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]]:
    a, b = (keypoints[k][matches.pairs[:, k]].astype(np.float64) for k in range(2))
    return a, b


def guessed_camera(photo: Photo, field_of_view_deg: float = _FIELD_OF_VIEW_DEG) -> pycolmap.Camera:
    """With the focal length that the photo records, or that of a field of view along its long side."""
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
