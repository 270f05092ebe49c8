"""The `matches/` artifact (docs/artifacts.md): keypoints a photo, verified matches a pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int32


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


@dataclass(frozen=True)
class MatchedPairs:
    """`pairs.json`."""

    matcher: str
    pairs: tuple[MatchedPair, ...]


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


def save_pairs(folder: Path, matcher: str, pairs: Sequence[MatchedPair]) -> None:
    """Write `pairs.json`."""
    document = {"matcher": matcher, "pairs": [asdict(pair) for pair in pairs]}
    text = json.dumps(document, indent=1, sort_keys=True)
    (folder / "pairs.json").write_text(text + "\n", encoding="utf-8")


def load_pairs(folder: Path) -> MatchedPairs:
    """Read `pairs.json`."""
    document = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    return MatchedPairs(document["matcher"], tuple(MatchedPair(**entry) for entry in document["pairs"]))
