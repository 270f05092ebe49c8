"""The `matches/` artifact as mapping sees it (docs/artifacts.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewview.recon.matching.artifact import load_keypoints, load_matches, load_pairs
from fewview.recon.photos import Photo, load_photos
from fewview.recon.sfm.belief import NOTHING, WEIGHTS


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
    log_odds: float
    """Natural logarithm of the odds that the matches are those of one scene, and not of things that look alike."""
    turned_share: float = 0.0
    """Of the matches, those that a turn and a zoom on the spot explains; 0 where it is certainly few."""

    @property
    def expected(self) -> float:
        """Matches times the probability that they are of one scene."""
        return len(self.matches) / (1 + math.exp(-self.log_odds))


@dataclass(frozen=True)
class MatchGraph:
    """Photos in their order, their keypoints, and all pairs."""

    photos: list[Photo]
    keypoints: list[Float[np.ndarray, "_ 2"]]
    """Pixels of the originals."""
    pairs: list[Pair]
    fisheyes: Mapping[str, float] = field(default_factory=dict)
    """Focal lengths in long sides, by camera group, of the lenses that matching took for fisheyes."""

    def partners(self, i: int) -> list[tuple[Pair, int]]:
        """Pairs of photo `i` with matches, and the other photo; most matches first."""
        found = [(p, p.b if p.a == i else p.a) for p in self.pairs if i in (p.a, p.b) and len(p.matches)]
        return sorted(found, key=lambda partner: (-len(partner[0].matches), partner[1]))


def groups(count: int, ties: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Photos that ties hold together, directly or through others; the largest group first."""
    edges = np.array(list(ties)).reshape(-1, 2)
    links = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    label = connected_components(links, directed=False)[1]
    found = [[int(i) for i in np.flatnonzero(label == k)] for k in np.unique(label)]
    return sorted(found, key=lambda group: (-len(group), group))


def load_graph(photos_folder: Path, matches_folder: Path) -> MatchGraph:
    photos = load_photos(photos_folder)
    index = {photo.name: i for i, photo in enumerate(photos)}
    keypoints = [load_keypoints(matches_folder, photo.key).astype(np.float64) for photo in photos]
    matched, pairs = load_pairs(matches_folder), []
    for entry in matched.pairs:
        a, b = index[entry.a], index[entry.b]
        matches, _ = load_matches(matches_folder, (photos[a].key, photos[b].key))
        pairs.append(
            Pair(
                a,
                b,
                entry.raw,
                matches,
                entry.model,
                entry.median_angle_deg,
                NOTHING if entry.log_odds is None else WEIGHTS.odds(entry.log_odds),
                entry.turned_share,
            )
        )
    return MatchGraph(photos, keypoints, pairs, matched.fisheyes)
