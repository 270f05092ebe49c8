"""The `matches/` artifact as mapping sees it (docs/artifacts.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from recon.photos import Photo, load_photos


@dataclass(frozen=True)
class Pair:
    """Two photos, by index, and the matches that two-view verification left."""

    a: int
    b: int
    raw: int
    matches: Int[np.ndarray, "M 2"]
    model: str
    """`general`, `planar`, `panoramic` or `none`."""
    median_angle_deg: float | None


@dataclass(frozen=True)
class MatchGraph:
    """Photos in their order, their keypoints, and all pairs."""

    photos: list[Photo]
    keypoints: list[Float[np.ndarray, "N 2"]]
    """Pixels of the originals."""
    pairs: list[Pair]

    def partners(self, i: int) -> list[tuple[int, int]]:
        """(verified matches, other photo) of photo `i`, most matches first."""
        found = [(len(p.matches), p.b if p.a == i else p.a) for p in self.pairs if i in (p.a, p.b) and len(p.matches)]
        return sorted(found, key=lambda partner: (-partner[0], partner[1]))


def load_graph(photos_folder: Path, matches_folder: Path) -> MatchGraph:
    photos = load_photos(photos_folder)
    index = {photo.name: i for i, photo in enumerate(photos)}
    keypoints = []
    for photo in photos:
        with np.load(matches_folder / "features" / f"{photo.key}.npz") as file:
            keypoints.append(file["keypoints"].astype(np.float64))
    pairs = []
    for entry in json.loads((matches_folder / "pairs.json").read_text(encoding="utf-8"))["pairs"]:
        a, b = index[entry["a"]], index[entry["b"]]
        with np.load(matches_folder / "pairs" / f"{photos[a].key}--{photos[b].key}.npz") as file:
            matches = file["matches"]
        pairs.append(Pair(a, b, entry["raw"], matches, entry["model"], entry["median_angle_deg"]))
    return MatchGraph(photos, keypoints, pairs)
