"""What kind of photos these are, by what was measured of their matches: pure functions of the graph."""

from __future__ import annotations

from fewview.recon.matching.artifact import TURNED_SHARE, still_share
from fewview.recon.sfm.graph import MatchGraph, Pair, groups

_MOST = 0.5
_SURVIVORS = 0.5
"""Of all matches, two-view geometry kept .90 to 1 in 20 pairs of one scene (castle facades turned on the spot, a
painted duck under masks; ALIKED and LightGlue). That repeated structure keeps less is assumed and not measured."""


def _still_share(graph: MatchGraph, pair: Pair) -> float:
    """Share of the matches of a pair that lie at the same pixels in both photos; 0 for photos of unequal size."""
    one, other = graph.photos[pair.a], graph.photos[pair.b]
    if (one.width, one.height) != (other.width, other.height) or not len(pair.matches):
        return 0.0
    a, b = graph.keypoints[pair.a][pair.matches[:, 0]], graph.keypoints[pair.b][pair.matches[:, 1]]
    return still_share(a, b, max(one.width, one.height))


def stands_still(graph: MatchGraph, pair: Pair) -> bool:
    """Whether most of what two photos share lies at the same pixels: the camera stood still, or they are doubles."""
    return _still_share(graph, pair) > _MOST


def stood_still(graph: MatchGraph) -> bool:
    """Whether the camera stood still in all photos that share anything, and only things before it were turned."""
    verified = [pair for pair in graph.pairs if len(pair.matches)]
    return bool(verified) and _tie_all(graph, [pair for pair in verified if stands_still(graph, pair)])


def from_one_spot(graph: MatchGraph) -> bool:
    """Whether pure turning and zooming explains a chain of pairs through all photos that share anything, and most of
    what other likely pairs share.

    Pairs far apart along the chain may look planar, or general: errors of the lens add up there.
    """
    if not _tie_all(graph, [pair for pair in graph.pairs if pair.model == "panoramic"]):
        return False
    parallax = [pair for pair in graph.pairs if pair.log_odds > 0 and pair.model == "general"]
    return all(pair.turned_share >= TURNED_SHARE for pair in parallax)


def is_repeated(pair: Pair) -> bool:
    """Whether most matches of a pair contradict those that agree with each other, as those of repeated structure do."""
    return len(pair.matches) < _SURVIVORS * pair.raw


def _tie_all(graph: MatchGraph, pairs: list[Pair]) -> bool:
    """Whether `pairs` tie all photos together that share anything."""
    sharing = {i for pair in graph.pairs if len(pair.matches) for i in (pair.a, pair.b)}
    tied = groups(len(graph.photos), [(pair.a, pair.b) for pair in pairs])[0]
    return bool(pairs) and sharing <= set(tied)
