"""How probable it is that each photo of a model has its right place.

A model is wrong where it is two right ones that were put together wrongly: across the cut between the two, every tie
that agrees with its poses is false. So each cut of the photos into two sides is a hypothesis against the model, and its
weight is that of the ties across it. All cuts of few photos are weighed; of many, those at which the model would come
apart first.

The weights are fitted by `python -m tests.benchmarks.places` to 196 models of 90 choices from ten real sets (3 to 10
photos). Fitted without the set that is judged, places that are stated at .83 are right in .83 of 72, at .94 in .90 of
68, at .998 in all of 572. Tried, and left, because on other sets it told nothing: photos side by side that share
nothing. Sides of a tower that are equal to the pixel deceive it, as they deceive the odds of each tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

Edges = Mapping[tuple[int, int], float]
"""Natural log odds between photos."""

ALL_CUTS = 11
"""Photos up to which every cut is weighed: 1,024 of them."""
NOTHING = -10.0
"""Log odds of a place that no tie speaks for."""


@dataclass(frozen=True)
class Weights:
    """What the ties across a cut say. Fitted by `python -m tests.benchmarks.places`."""

    prior: float = 0.823
    """Log odds of a tie beyond those that its evidence gives at even odds: of the verified pairs, more are right."""
    scale: float = 1.865
    """Factor on the log odds of the evidence."""
    agreeing: float = 1.473
    """Log odds that a tie gains when it agrees with poses that do not rest on it alone."""
    contradicting: float = 0.5
    """Probability with which a true tie seems to contradict right poses. Not fitted: nearly all ties that contradict a
    model of these sets are doubtful by themselves, and the fit would have them say nothing (1.0). But of a photo with
    several firm ties to others, of which no two agree, nothing is known."""

    def odds(self, evidence: float) -> float:
        """Log odds of a tie, by those of its evidence at even odds."""
        return self.prior + self.scale * evidence


WEIGHTS = Weights()


@dataclass(frozen=True)
class Belief:
    """Of the photos of a model, in their order."""

    photos: list[int]
    probability: Float[np.ndarray, " I"]
    """That the photo is placed rightly to most others."""
    whole: float
    """That all are, if what speaks against each is independent."""
    misplaced: list[int]
    """The photos that are misplaced if any are: the smaller side of the most probable cut."""


def believe(
    photos: Sequence[int], agree: Edges, contradict: Edges, weights: Weights = WEIGHTS, lens_penalty: float = 0.0
) -> Belief:
    """Weigh the cuts of a model.

    Args:
        photos: of the model, ascending.
        agree: ties that agree with the poses.
        contradict: ties that do not.
        lens_penalty: how much less probable the model's focal lengths are than the most usual ones, natural logarithm.
    """
    photos = list(photos)
    if len(photos) < 2:
        return Belief(photos, np.zeros(len(photos)), 0.0, photos)
    place = {i: k for k, i in enumerate(photos)}
    (ties, odds), (against, doubted) = (_among(place, edges) for edges in (agree, contradict))
    gain = _gain(odds, weights)
    true = 1 / (1 + np.exp(-doubted))
    sides = _sides(len(photos), ties, gain)
    crosses = _crosses(sides, ties)
    log_odds = crosses @ gain
    # The strongest tie agrees because the poses rest on it: it counts by its own odds alone.
    strongest = np.where(crosses, odds, -np.inf).argmax(axis=1) if len(odds) else np.zeros(len(sides), int)
    held = crosses.any(axis=1)
    log_odds[held] += (odds - gain)[strongest[held]]
    log_odds[~held] = NOTHING
    log_odds += _crosses(sides, against) @ np.log(1 - true + true * weights.contradicting) - lens_penalty
    # What is misplaced in two separate places is so for two reasons, each with a weight of its own.
    smaller = _smaller(sides, ties, gain)
    wrong = np.where(_connected(smaller > 0, ties), np.exp(-np.clip(log_odds, -500, 500)), 0.0)
    return Belief(
        photos,
        1 / (1 + wrong @ smaller),
        float(np.exp(-np.log1p(wrong).sum())),
        [photos[k] for k in np.flatnonzero(smaller[int(np.argmax(wrong))] > 0)],
    )


def weakest_between(
    photos: Sequence[int], agree: Edges, ends: tuple[int, int], weights: Weights = WEIGHTS
) -> list[int]:
    """The photos on the side of the first end when the ties that are weakest in sum are cut between the two."""
    place = {i: k for k, i in enumerate(photos)}
    ties, odds = _among(place, agree)
    capacity = _capacity(len(photos), ties, _gain(odds, weights))
    return [photos[k] for k in map(int, np.flatnonzero(_cut(capacity, place[ends[0]], place[ends[1]])))]


def _among(place: Mapping[int, int], edges: Edges) -> tuple[Int[np.ndarray, "E 2"], Float[np.ndarray, " E"]]:
    """Ends, by their places, and values of those edges whose photos have one."""
    within = {(place[a], place[b]): value for (a, b), value in edges.items() if a in place and b in place}
    return np.array(list(within), int).reshape(-1, 2), np.array(list(within.values()))


def _crosses(sides: Bool[np.ndarray, "C I"], edges: Int[np.ndarray, "E 2"]) -> Bool[np.ndarray, "C E"]:
    return sides[:, edges[:, 0]] != sides[:, edges[:, 1]]


def _gain(log_odds: np.ndarray, weights: Weights) -> np.ndarray:
    """Of ties that agree: how much less probable it is that they are false than that the poses are right."""
    return np.logaddexp(0, log_odds + weights.agreeing)


def _capacity(count: int, ties: np.ndarray, gain: np.ndarray) -> np.ndarray:
    capacity = np.zeros((count, count), np.int32)
    whole = np.maximum(np.round(100 * gain), 1).astype(np.int32)  # the flow is one of whole numbers
    capacity[ties[:, 0], ties[:, 1]] = capacity[ties[:, 1], ties[:, 0]] = whole
    return capacity


def _cut(capacity: np.ndarray, a: int, b: int) -> Bool[np.ndarray, " I"]:
    """The side of `a`."""
    flow = maximum_flow(csr_array(capacity), a, b).flow.toarray()
    side = np.zeros(len(capacity), bool)
    side[breadth_first_order(csr_array(capacity - flow > 0), a, return_predecessors=False)] = True
    return side


def _sides(count: int, ties: np.ndarray, gain: np.ndarray) -> Bool[np.ndarray, "C I"]:
    """Which photos are on the other side than the first, of each cut."""
    if count <= ALL_CUTS:
        codes = np.arange(1, 2 ** (count - 1))
        return np.column_stack([np.zeros(len(codes), bool), (codes[:, None] >> np.arange(count - 1)) & 1 == 1])
    capacity = _capacity(count, ties, gain)
    anchor = int(capacity.sum(axis=1).argmax())
    found = {tuple(row) for row in np.eye(count, dtype=bool)}
    found |= {tuple(_cut(capacity, k, anchor)) for k in range(count) if k != anchor}
    cuts = np.array(sorted({row if not row[0] else tuple(not k for k in row) for row in found}))
    return cuts[cuts.any(axis=1)]


def _connected(inside: Bool[np.ndarray, "C I"], ties: np.ndarray) -> Bool[np.ndarray, " C"]:
    """Whether ties hold the photos inside together, of each cut."""
    count = inside.shape[1]
    tied = np.eye(count, dtype=np.int64)
    tied[ties[:, 0], ties[:, 1]] = tied[ties[:, 1], ties[:, 0]] = 1
    reached = np.eye(count, dtype=bool)[inside.argmax(axis=1)] & inside
    for _ in range(count):
        reached = (reached @ tied > 0) & inside
    out: np.ndarray = (reached == inside).all(axis=1)
    return out


def _smaller(sides: Bool[np.ndarray, "C I"], ties: np.ndarray, gain: np.ndarray) -> Float[np.ndarray, "C I"]:
    """How much each photo is on the side that is misplaced: the smaller; of equal ones, that which ties hold together
    less. Of two photos, both are misplaced to each other."""
    count = sides.shape[1]
    inside = np.stack([(sides[:, ties] == other).all(axis=2) @ gain for other in (False, True)])
    size = sides.sum(axis=1)
    other = (2 * size < count) | ((2 * size == count) & (inside[1] < inside[0]))
    out = np.where(other[:, None], sides, ~sides).astype(float)
    return np.ones_like(out) if count == 2 else out
