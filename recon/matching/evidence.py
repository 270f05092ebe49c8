"""What is measured of a pair of photos that tells whether they show one scene, or things that look alike.

Nothing here decides: `fewview.recon.matching.tie_odds` weighs these measures, by weights that tests/benchmarks/ties
fitted.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from fewview.recon.matching.artifact import TieEvidence
from fewview.recon.matching.features import Features, Matches
from fewview.recon.matching.verification import Verified, guessed_camera
from fewview.recon.photos import Photo

_FIELDS_OF_VIEW_DEG = np.geomspace(25, 110, 12)
"""Along the long side: lenses in use, of which that is taken which makes the fundamental matrix most nearly an
essential one."""
_CELLS = 8
"""Cells along and across a photo, in which matches are counted."""
_APART = 0.02
"""Keypoints nearer than this, as a share of the long side, are of one spot: descriptors of one spot are alike."""
_SAMPLE = 256
"""Matches whose uniqueness is looked at, evenly taken: the time is proportional to them."""


def measure(
    matcher: str,
    photos: tuple[Photo, Photo],
    features: tuple[Features, Features],
    keypoints: tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "M 2"]],
    raw: Matches,
    verified: Verified,
    max_error_px: float,
) -> TieEvidence | None:
    """The evidence of one pair; None where no geometry was found.

    Args:
        features: descriptors are used, and numbers of keypoints.
        keypoints: the same ones, pixels of the original photos.
        max_error_px: as `verify` was given it.
    """
    if verified.F is None or verified.H is None or verified.model == "none":
        return None
    pairs, confidence = verified.matches.pairs, verified.matches.confidence
    xy = keypoints[0][pairs[:, 0]].astype(np.float64), keypoints[1][pairs[:, 1]].astype(np.float64)
    spreads, rates = zip(*(_coverage(photos[k], keypoints[k], xy[k]) for k in range(2)), strict=True)
    similarity, own, other = _resemblance(photos, features, keypoints, pairs)
    front, lens, roll, angle = _relative_pose(photos, xy, verified.F)
    return TieEvidence(
        matcher=matcher,
        keypoints=min(len(keypoints[0]), len(keypoints[1])),
        raw=len(raw) - verified.still,
        verified=len(pairs),
        still=verified.still,
        certain_share=_rounded(verified.matches.certain / len(pairs)),
        mean_confidence=_rounded(confidence.mean()),
        similarity=_rounded(np.median(similarity)),
        repetition=_rounded(np.median(own)),
        unique_share=_rounded((similarity > np.maximum(own, other)).mean()),
        spread=_rounded(min(spreads)),
        match_rate=_rounded(min(rates)),
        plane_share=_rounded((transfer_error(xy, verified.H) < max_error_px).mean()),
        front_share=_rounded(front),
        lens=_rounded(lens),
        roll_deg=_rounded(roll),
        angle_deg=_rounded(angle),
    )


def transfer_error(
    xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]], H: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, " M"]:
    """Distance in the second photo, pixels; infinite for points that the homography sends behind."""
    there = np.column_stack([xy[0], np.ones(len(xy[0]))]) @ H.T
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm(there[:, :2] / there[:, 2:] - xy[1], axis=1)
    return np.nan_to_num(error, nan=np.inf)


def _coverage(photo: Photo, keypoints: Float[np.ndarray, "N 2"], xy: Float[np.ndarray, "M 2"]) -> tuple[float, float]:
    """`spread` and `match_rate` of one photo."""
    scale = _CELLS / np.array([photo.width, photo.height])
    all_cells, matched = (
        np.bincount((np.clip(points * scale, 0, _CELLS - 1).astype(int) @ [1, _CELLS]), minlength=_CELLS**2)
        for points in (keypoints, xy)
    )
    return (matched > 0).sum() / max((all_cells > 0).sum(), 1), len(xy) / max(all_cells[matched > 0].sum(), 1)


def _resemblance(
    photos: tuple[Photo, Photo],
    features: tuple[Features, Features],
    keypoints: tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "M 2"]],
    pairs: Int[np.ndarray, "V 2"],
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """For a sample of the matches, the cosine between their descriptors, and the largest to other places.

    Returns:
        Between the two of a match; to other places of the photo itself; to other places of the other photo.
    """
    pairs = pairs[:: -(-len(pairs) // _SAMPLE)]
    descriptors = [np.asarray(one.descriptors, np.float32) for one in features]
    mine = [descriptors[k][pairs[:, k]] for k in range(2)]
    rival = np.empty((2, 2, len(pairs)), np.float32)
    for k, m in np.ndindex(2, 2):
        rivals = mine[k] @ descriptors[m].T
        at, apart = keypoints[m].T, _APART * max(photos[m].width, photos[m].height)
        near = [np.abs(at[axis, pairs[:, m], None] - at[axis]) < apart for axis in range(2)]
        rivals[near[0] & near[1]] = -1
        rival[k, m] = rivals.max(axis=1)
    own, other = np.maximum(rival[0, 0], rival[1, 1]), np.maximum(rival[0, 1], rival[1, 0])
    return (mine[0] * mine[1]).sum(axis=1), own, other


def _relative_pose(
    photos: tuple[Photo, Photo], xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]], F: np.ndarray
) -> tuple[float, float, float, float]:
    """`front_share`, `lens`, `roll_deg` and `angle_deg`, for the lenses that suit the fundamental matrix best."""
    best = (-1.0, np.eye(3), np.eye(3), np.eye(3))
    for angle in _FIELDS_OF_VIEW_DEG:
        Ka, Kb = (guessed_camera(photo, angle).calibration_matrix() for photo in photos)
        E = Kb.T @ F @ Ka
        s = np.linalg.svd(E, compute_uv=False)
        if s[1] / s[0] > best[0]:
            best = (float(s[1] / s[0]), E, Ka, Kb)
    lens, E, Ka, Kb = best
    a, b = (
        np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(K).T
        for points, K in zip(xy, (Ka, Kb), strict=True)
    )
    U, _, Vt = np.linalg.svd(E)
    W = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    chosen = (-1.0, np.eye(3), 0.0)
    for M in (W, W.T):
        R = U @ M @ Vt
        R *= np.sign(np.linalg.det(R))
        for t in (U[:, 2], -U[:, 2]):
            front, angles = _meeting(a @ R.T, b, t)
            if front > chosen[0]:
                chosen = (front, R, angles)
    front, R, angle = chosen
    roll = np.degrees(np.arctan2(R[1, 0] - R[0, 1], R[0, 0] + R[1, 1])) % 90
    return front, lens, float(min(roll, 90 - roll)), angle


def _meeting(
    turned: Float[np.ndarray, "M 3"], y: Float[np.ndarray, "M 3"], t: Float[np.ndarray, " 3"]
) -> tuple[float, float]:
    """Share of rays that meet in front of both cameras, and their median angle in degrees: s turned + t = r y."""
    a, b, c = (turned**2).sum(axis=1), (turned * y).sum(axis=1), (y**2).sum(axis=1)
    at, ct = turned @ t, y @ t
    # By the sign of the least-squares depths times their positive determinant.
    front = (b * ct - c * at > 0) & (a * ct - b * at > 0)
    return float(front.mean()), float(np.median(np.degrees(np.arccos(np.clip(b / np.sqrt(a * c), -1, 1)))))


def _rounded(value: float) -> float:
    return round(float(value), 4)
