"""Photos that were taken turned: networks trained on upright photos match them only after turning.

Photos that match well as they are form groups. Where groups hardly match, one is turned by quarters
against the other; a cheap comparison of descriptors says which pairs and turns are worth a full match. Some
matches between groups prove nothing: a row of columns matches itself upside down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import UInt8

from recon.matching.features import Features, Matcher, turn_features, turn_image
from recon.matching.verification import Verified
from recon.progress import Progress

STRONG_MATCHES = 100
"""Verified matches from which two photos certainly match as they are."""
MIN_TURNED_MATCHES = 30
"""Verified matches that a turn must bring."""
MIN_GAIN = 1.5
"""A turn must bring so many times the matches that the best pair of the groups has without it."""
_PROBES = 3
"""Photos of a group that are turned for a trial, and pairs that are then matched in full."""


@dataclass(frozen=True)
class Pair:
    """What is known of a pair of photos."""

    raw: int
    """Matches before verification."""
    verified: Verified

    def __len__(self) -> int:
        return len(self.verified.matches)


MatchPair = Callable[[int, int, Features, Features], Pair]


def match_turned(
    images: list[UInt8[np.ndarray, "H W 3"]],
    features: list[Features],
    pairs: dict[tuple[int, int], Pair],
    matcher: Matcher,
    match_pair: MatchPair,
    progress: Progress,
) -> list[int]:
    """Try to join groups of photos by turning them; `pairs` (keys a < b) is updated where that finds more.

    Returns:
        For each photo, the quarter turns counter-clockwise that bring it upright to the largest group.
    """
    trial = _Trial(images, features, matcher)
    groups = sorted(_groups(len(images), pairs), key=lambda group: (-len(group), group))
    quarters = [0] * len(images)
    joined, apart = groups[0], groups[1:]
    found = True
    while found:  # what a group joins may be what another group needs
        found = False
        for group in list(apart):
            upright = max(len(pairs[min(a, b), max(a, b)]) for a, b in product(joined, group))
            enough = max(MIN_TURNED_MATCHES, MIN_GAIN * upright)
            turn = _find_turn(trial, joined, group, quarters, match_pair, enough)
            if turn is None:
                continue
            progress.note(f"{len(group)} photo(s) turned by {90 * turn} degrees match the others.")
            for a, b in product(joined, group):
                # What matched without the turn is wrong, even where the turn brings less.
                pairs[min(a, b), max(a, b)] = _match(trial, match_pair, (a, quarters[a]), (b, turn))
            for b in group:
                quarters[b] = turn
            apart.remove(group)
            joined = sorted(joined + group)
            found = True
    return quarters


class _Trial:
    """Descriptions of turned photos, made when first needed."""

    def __init__(self, images: list[np.ndarray], upright: list[Features], matcher: Matcher) -> None:
        self._images = images
        self._made = {(i, 0): features for i, features in enumerate(upright)}
        self.matcher = matcher

    def features(self, i: int, quarters: int) -> Features:
        key = i, quarters % 4
        if key not in self._made:
            turned = turn_features(self._made[i, 0], quarters)
            self._made[key] = self.matcher.describe(turn_image(self._images[i], quarters), turned)
        return self._made[key]


def _find_turn(
    trial: _Trial,
    joined: list[int],
    group: list[int],
    quarters: list[int],
    match_pair: MatchPair,
    enough: float,
) -> int | None:
    """The turn by which a photo of `group` matches one of `joined` by `enough` matches, or None."""
    probes = [
        (trial.matcher.affinity(trial.features(a, quarters[a]), trial.features(b, turn)), a, b, turn)
        for a, b, turn in product(joined, group[:_PROBES], (1, 2, 3))
    ]
    for _, a, b, turn in sorted(probes, key=lambda probe: (-probe[0], probe[1:]))[:_PROBES]:
        if len(_match(trial, match_pair, (a, quarters[a]), (b, turn))) >= enough:
            return turn
    return None


def _match(trial: _Trial, match_pair: MatchPair, one: tuple[int, int], other: tuple[int, int]) -> Pair:
    """Match two (photo, quarter turns), the earlier photo first."""
    (a, turn_a), (b, turn_b) = sorted((one, other))
    return match_pair(a, b, trial.features(a, turn_a), trial.features(b, turn_b))


def _groups(count: int, pairs: dict[tuple[int, int], Pair]) -> list[list[int]]:
    """Connected components of the photos under strong pairs."""
    group_of = list(range(count))
    for (a, b), pair in pairs.items():
        if len(pair) >= STRONG_MATCHES and group_of[a] != group_of[b]:
            old, new = group_of[b], group_of[a]
            group_of = [new if g == old else g for g in group_of]
    return [[i for i in range(count) if group_of[i] == g] for g in sorted(set(group_of))]
