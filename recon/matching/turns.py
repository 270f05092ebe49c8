"""Photos that were taken turned: networks trained on upright photos match them only after turning.

Photos that match well as they are form groups. Where groups hardly match, one is turned by quarters against
the other; a cheap comparison of descriptors says which pairs and turns are worth a full match. Some matches
between groups prove nothing: a row of columns matches itself upside down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

from fewview.recon.matching.artifact import TieEvidence
from fewview.recon.matching.tie_odds import tie_log_odds
from fewview.recon.matching.verification import Verified
from fewview.recon.progress import Progress

STRONG_MATCHES = 100
"""Verified matches from which two photos certainly match as they are."""
MIN_TURNED_MATCHES = 30
"""Verified matches that a turn must bring."""
MIN_GAIN = 1.5
"""A turn must bring so many times the matches that the best pair of the groups has without it."""
_PROBES = 3
"""Photos of a group that are turned for a trial, and pairs that are then matched in full."""
_MOST_TRIED = 12
"""Photos of the upright group, evenly spaced, that a turned photo is held against."""

Turned = tuple[int, int]
"""A photo and the quarter turns, counter-clockwise, that it is looked at with."""


@dataclass(frozen=True)
class Pair:
    """What is known of a pair of photos."""

    raw: int
    """Matches before verification."""
    verified: Verified
    evidence: TieEvidence | None = None
    """None where the verified model is `none`."""

    @property
    def log_odds(self) -> float | None:
        """See `MatchedPair`."""
        return None if self.evidence is None else tie_log_odds(self.evidence)

    def __len__(self) -> int:
        return len(self.verified.matches)


def find_turns(
    count: int,
    pairs: Mapping[tuple[int, int], Pair],
    affinity: Callable[[Turned, Turned], int],
    match_pair: Callable[[Turned, Turned], Pair],
    progress: Progress,
) -> list[int]:
    """Try to join groups of photos by turning them.

    Args:
        pairs: of `count` photos as they are (keys a < b).
        affinity: a cheap guess at how well two turned photos match.

    Returns:
        For each photo, the quarter turns that bring it upright to the largest group.
    """
    groups = sorted(_groups(count, pairs), key=lambda group: (-len(group), group))
    quarters = [0] * count
    joined, apart = groups[0], groups[1:]
    found = True
    while found:  # what a group joins may be what another group needs
        found = False
        for group in list(apart):
            across = [pairs.get((min(a, b), max(a, b))) for a, b in product(joined, group)]
            upright = max((len(pair) for pair in across if pair is not None), default=0)
            enough = max(MIN_TURNED_MATCHES, MIN_GAIN * upright)
            turn = _find_turn([(a, quarters[a]) for a in joined], group, enough, affinity, match_pair)
            if turn is None:
                continue
            progress.note(f"{len(group)} photo(s) turned by {90 * turn} degrees match the others.")
            for b in group:
                quarters[b] = turn
            apart.remove(group)
            joined = sorted(joined + group)
            found = True
    return quarters


def _find_turn(
    joined: list[Turned],
    group: list[int],
    enough: float,
    affinity: Callable[[Turned, Turned], int],
    match_pair: Callable[[Turned, Turned], Pair],
) -> int | None:
    """The turn by which a photo of `group` matches one of `joined` by `enough` matches, or None."""
    tried = joined[:: -(-len(joined) // _MOST_TRIED)]
    probes = [(affinity(one, (b, turn)), one, (b, turn)) for one, b, turn in product(tried, group[:_PROBES], (1, 2, 3))]
    for _, one, other in sorted(probes, key=lambda probe: (-probe[0], probe[1:]))[:_PROBES]:
        if len(match_pair(*sorted((one, other)))) >= enough:
            return other[1]
    return None


def _groups(count: int, pairs: Mapping[tuple[int, int], Pair]) -> list[list[int]]:
    """Connected components of the photos under strong pairs."""
    group_of = list(range(count))
    for (a, b), pair in pairs.items():
        if len(pair) >= STRONG_MATCHES and group_of[a] != group_of[b]:
            old, new = group_of[b], group_of[a]
            group_of = [new if g == old else g for g in group_of]
    return [[i for i in range(count) if group_of[i] == g] for g in sorted(set(group_of))]
