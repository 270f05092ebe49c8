"""The `matches/` artifact as mapping sees it (docs/artifacts.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewview.recon.matching.artifact import CERTAIN, load_keypoints, load_matches, load_pairs
from fewview.recon.photos import Photo, load_photos

# Of the matches that survive verification, a network is sure of .3 to .9 where two photos show one scene, also
# from far apart, and of .0 to .36, mostly less than .2, where they show two facades of one style (eight scenes,
# 500 pairs). SIFT's ratios tell less, but there far fewer of the wrong matches survive: .2 to .42 against .45 to 1.
_SURE = {"aliked+lightglue": CERTAIN, "sift": 0.35}
_CONFIDENT_SHARE = 0.25
_SIFT_SURVIVORS = 0.45
_MIN_CONFIDENT = 20


@dataclass(frozen=True)
class Pair:
    """Two photos, by index, and the matches that two-view verification left."""

    a: int
    b: int
    raw: int
    matches: Int[np.ndarray, "M 2"]
    confidence: Float[np.ndarray, " M"]
    """The matcher's, in [0, 1]."""
    model: str
    """`general`, `planar`, `panoramic` or `none`."""
    median_angle_deg: float | None
    trusted: bool
    """Whether the matches are those of one scene, and not of things that look alike."""
    sure: float
    """Confidence from which the matcher is sure."""

    @property
    def confident(self) -> int:
        """Matches that the matcher is sure of."""
        return int((self.confidence > self.sure).sum())


@dataclass(frozen=True)
class MatchGraph:
    """Photos in their order, their keypoints, and all pairs."""

    photos: list[Photo]
    keypoints: list[Float[np.ndarray, "N 2"]]
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
    matcher = matched.matcher
    for entry in matched.pairs:
        a, b = index[entry.a], index[entry.b]
        matches, confidence = load_matches(matches_folder, (photos[a].key, photos[b].key))
        pairs.append(
            Pair(
                a,
                b,
                entry.raw,
                matches,
                confidence,
                entry.model,
                entry.median_angle_deg,
                trusted=_is_trusted(matcher, entry.raw, confidence),
                sure=_SURE[matcher],
            )
        )
    return MatchGraph(photos, keypoints, pairs, matched.fisheyes)


def _is_trusted(matcher: str, raw: int, confidence: Float[np.ndarray, " M"]) -> bool:
    """Of the matches that survived verification of `raw`."""
    if matcher == "sift":
        return len(confidence) >= max(_MIN_CONFIDENT, _SIFT_SURVIVORS * raw)
    return bool((confidence > _SURE[matcher]).sum() >= max(_MIN_CONFIDENT, _CONFIDENT_SHARE * len(confidence)))
