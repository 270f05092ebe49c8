"""The `matches/` artifact (docs/artifacts.md): keypoints a photo, verified matches a pair."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32

CERTAIN = 0.8
"""Confidence from which LightGlue is right in nearly all matches of photos of one scene (eight scenes, 500 pairs)."""
STILL = 4 / 1024
"""Of the long side: matches that moved less lie at the same pixels in both photos, up to the error of keypoints (the
tolerance of verification, 4 px in working images of 1024 px)."""


TURNED_SHARE = 0.72
"""Matches that a turn and a zoom explains of two photos that are both turned against a third. Of such a pair alone it
must explain .85, and here the errors of both add up: .85 times .85."""


@dataclass(frozen=True)
class TieEvidence:
    """Measures of a pair whose matches survived verification; shares are in [0, 1]."""

    matcher: str
    """As `pairs.json` names it; the scale of `confidence` and of descriptors is the matcher's own."""
    keypoints: int
    """Of the photo that has fewer."""
    raw: int
    """Matches before verification, without those that do not move."""
    verified: int
    still: int
    """Matches that were dropped because they do not move while others do: logos, time stamps."""
    certain_share: float
    """Verified matches with a confidence above .8."""
    mean_confidence: float
    """Of the verified matches."""
    similarity: float
    """Median, over the verified matches, of the cosine between their two descriptors."""
    repetition: float
    """Median, over the verified matches, of the cosine between their descriptors and the most similar one of another
    place of the same photo (of the photo where that is more): what repeats itself is matched wrongly."""
    unique_share: float
    """Verified matches whose descriptors are nearer to each other than to those of any other place of both photos."""
    spread: float
    """Of the cells of a grid over the photo that hold keypoints, those that hold verified matches; of the photo where
    that is less."""
    match_rate: float
    """Verified matches as a share of the keypoints about them, those that ought to match; of the photo where that is
    less."""
    plane_share: float
    """Verified matches that one homography explains within the tolerance."""
    front_share: float
    """Verified matches whose rays meet in front of both cameras."""
    lens: float
    """How nearly the fundamental matrix is essential for a lens in use: smaller over larger singular value."""
    roll_deg: float
    """By which the one photo is turned against the other about the line of sight, beyond quarter turns; 0 to 45."""
    angle_deg: float
    """Median angle between the two rays of a match."""


@dataclass(frozen=True)
class MatchedPair:
    """Two photos, by name, that were matched."""

    a: str
    b: str
    raw: int
    """Matches before verification."""
    verified: int
    model: str
    """`general`, `planar`, `panoramic` or `none`."""
    median_angle_deg: float | None
    evidence: TieEvidence | None = None
    """None where the model is `none`."""
    log_odds: float | None = None
    """Natural logarithm of the odds that the evidence gives, at even prior odds (`fewview.recon.matching.tie_odds`)."""
    turned_share: float = 0.0
    """Of the matches, those that a turn and a zoom on the spot explains; 0 where it is certainly few."""


@dataclass(frozen=True)
class MatchedPairs:
    """`pairs.json`."""

    matcher: str
    pairs: tuple[MatchedPair, ...]
    fisheyes: Mapping[str, float] = field(default_factory=dict)
    """Focal lengths in long sides, by camera group, of the lenses that matching took for fisheyes."""


def save_keypoints(
    folder: Path, key: str, keypoints: Float[np.ndarray, "N 2"], scores: Float[np.ndarray, " N"]
) -> None:
    """Of the photo with this key; pixels of the upright original."""
    (folder / "features").mkdir(exist_ok=True)
    np.savez(folder / "features" / f"{key}.npz", keypoints=keypoints, scores=scores)


def load_keypoints(folder: Path, key: str) -> Float32[np.ndarray, "N 2"]:
    with np.load(folder / "features" / f"{key}.npz") as file:
        keypoints: np.ndarray = file["keypoints"]
    return keypoints


def save_matches(
    folder: Path, keys: tuple[str, str], matches: Int32[np.ndarray, "M 2"], confidence: Float32[np.ndarray, " M"]
) -> None:
    """Indices into the keypoints of two photos, by their keys."""
    (folder / "pairs").mkdir(exist_ok=True)
    np.savez(folder / "pairs" / f"{keys[0]}--{keys[1]}.npz", matches=matches, confidence=confidence)


def load_matches(folder: Path, keys: tuple[str, str]) -> tuple[Int32[np.ndarray, "M 2"], Float32[np.ndarray, " M"]]:
    """Matches and their confidence."""
    with np.load(folder / "pairs" / f"{keys[0]}--{keys[1]}.npz") as file:
        return file["matches"], file["confidence"]


def save_pairs(folder: Path, found: MatchedPairs) -> None:
    """Write `pairs.json`."""
    text = json.dumps(asdict(found), indent=1, sort_keys=True)
    (folder / "pairs.json").write_text(text + "\n", encoding="utf-8")


def load_pairs(folder: Path) -> MatchedPairs:
    """Read `pairs.json`."""
    document = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    return MatchedPairs(document["matcher"], tuple(map(_pair, document["pairs"])), document.get("fisheyes", {}))


def _pair(entry: dict[str, Any]) -> MatchedPair:
    evidence = entry.get("evidence")
    return MatchedPair(**{**entry, "evidence": None if evidence is None else TieEvidence(**evidence)})


def still_share(a: Float[np.ndarray, "M 2"], b: Float[np.ndarray, "M 2"], long_side: int) -> float:
    """Share of matches that lie at the same pixels in two photos.

    Args:
        long_side: of the larger photo, in the pixels of `a` and `b`.
    """
    return float((np.linalg.norm(a - b, axis=1) < STILL * long_side).mean())
