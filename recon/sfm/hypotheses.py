"""Several models of the same matches, and the one that the evidence favours.

Which ties are true and which photos have a place is decided together: a model of some ties is judged by all of them
(`fewview.recon.sfm.belief`). Where ties contradict a model, those on which it rests may be the false ones; then it is
mapped again without these and with what contradicted it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fewview.recon.progress import Progress
from fewview.recon.sfm import MappingFacts, ModelFact
from fewview.recon.sfm.belief import Belief, believe, weakest_between
from fewview.recon.sfm.evidence import Agreement, agreements
from fewview.recon.sfm.focals import GUESS_DEG, Start, focals_at
from fewview.recon.sfm.given import triangulate
from fewview.recon.sfm.globally import map_globally
from fewview.recon.sfm.graph import MatchGraph, Pair, groups
from fewview.recon.sfm.mapping import Candidate, Sensors, map_photos
from fewview.recon.sfm.near import pose_of
from fewview.recon.sfm.refine import GUESS_DEVIATION
from fewview.recon.sfm.tracks import held_out, only

Ends = tuple[int, int]
"""The photos of a tie."""
_ENOUGH = 0.9
"""Share of held-out matches that agree with a model, all of whose photos are believed, from which no other starting
focal length is tried."""
_FEW = 12
"""Photos up to which global mapping is always tried. With more it takes minutes, and incremental mapping has less
need of it."""
DOUBTFUL = -4.0
"""Log odds under which no model is made of a tie; where it agrees with a model, it counts all the same."""
FIRM = 2.0
"""Log odds from which a tie is firm: of eight such, one is false."""
_TURNS = 2
"""Models that are made of what contradicts another."""
PLACED = 0.8
"""Probability from which a photo has a place: a wrong place costs four times what a missing one does. Who looks for
another photo sees what is missing; what is wrong spoils depth, splats and plan, unseen."""


@dataclass(frozen=True)
class Judged:
    """What is believed of a model."""

    belief: Belief
    """Of the photos that have a place."""
    doubted: dict[int, float]
    """Of the others, how probable their places were when they were given up."""
    pairs: list[Agreement]
    """All of the model's."""

    @property
    def photos(self) -> list[int]:
        return self.belief.photos

    @property
    def contradicted(self) -> set[int]:
        """Photos with a tie that is likely true and contradicts the poses."""
        against = [one.pair for one in self.pairs if one.contradicts and one.pair.log_odds > 0]
        return {i for pair in against for i in (pair.a, pair.b)}

    @property
    def worth(self) -> float:
        """Of the places in right ones, each as far as it is more probable than `PLACED`."""
        return float(np.maximum(self.belief.probability - PLACED, 0).sum() / (1 - PLACED))


@dataclass(frozen=True)
class Scored:
    """A model and what speaks for it."""

    model: Candidate
    judged: Judged
    ties: frozenset[Ends]
    """That it was made of."""
    held_out: int
    """Matches of tracks kept from mapping that agree with the poses."""
    tested: int
    """All matches of such tracks between the model's photos."""
    median_error_px: float

    def order(self) -> tuple[float, int, float]:
        """Larger is better."""
        return round(self.judged.worth, 1), self.held_out, -self.median_error_px

    def fact(self) -> ModelFact:
        return ModelFact(
            start=self.model.start,
            registered=len(self.model.photos),
            believed=len(self.judged.photos),
            worth=round(self.judged.worth, 3),
            observations=len(self.model.bundle.xy),
            held_out_agree=self.held_out,
            held_out=self.tested,
            median_error_px=round(self.median_error_px, 3),
        )


def judge(model: Candidate, graph: MatchGraph, sensors: Sensors, max_error_px: float) -> Judged:
    """Which photos of a model have their right place, by all pairs of the graph.

    Photos whose place is not probable enough are given up, with all that is misplaced together with them.
    """
    pairs = agreements(model, graph, sensors, max_error_px)
    agree = {(one.pair.a, one.pair.b): one.log_odds for one in pairs if one.supports}
    against = {(one.pair.a, one.pair.b): one.pair.log_odds for one in pairs if one.contradicts}
    penalty = _lens_penalty(model, graph, sensors)
    stays, doubted = list(model.photos), dict[int, float]()
    while True:
        belief = believe(stays, agree, against, lens_penalty=penalty)
        probable = dict(zip(stays, belief.probability.tolist(), strict=True))
        gone = [i for i in stays if i in belief.misplaced] if min(probable.values(), default=1.0) < PLACED else []
        doubted |= {i: probable[i] for i in gone}
        stays = [i for i in stays if i not in gone]
        if not gone:
            return Judged(belief, doubted, pairs)


def _lens_penalty(model: Candidate, graph: MatchGraph, sensors: Sensors) -> float:
    """Of the lens whose focal length is the least usual, among those that nothing is known of: wrong places are often
    explained by such."""
    usual = np.log(focals_at(sensors, GUESS_DEG))[sensors.lens[model.photos]]
    off = (model.bundle.log_focal[model.bundle.lens] - usual) / GUESS_DEVIATION
    recorded = np.array([graph.photos[i].focal_px is not None for i in model.photos], bool)
    known = sensors.exact[sensors.lens[model.photos]] | recorded
    return float((off**2 / 2)[~known].max(initial=0.0))


class Models:
    """The models that were made of one graph, the best first."""

    def __init__(self, graph: MatchGraph, sensors: Sensors, max_error_px: float, seed: int) -> None:
        self.photos = len(graph.photos)
        self.sensors, self._tolerance, self._seed = sensors, max_error_px, seed
        usable = [pair for pair in graph.pairs if pair.log_odds > DOUBTFUL]
        tests = held_out(graph, usable)
        self._mapped = replace(graph, pairs=[only(pair, ~test) for pair, test in zip(usable, tests, strict=True)])
        self._tested = replace(graph, pairs=[only(pair, test) for pair, test in zip(usable, tests, strict=True)])
        self.scored: list[Scored] = []

    @property
    def pairs(self) -> list[Pair]:
        return self._mapped.pairs

    def incremental(self, ties: Collection[Ends], start: Start) -> None:
        graph = self._of(ties)
        self._add(map_photos(graph, self.sensors, start.focals, f"incremental, {start.name}", self._seed), ties)

    def globally(self, ties: Collection[Ends], start: Start) -> None:
        graph = self._of(ties)
        self._add(map_globally(graph, self.sensors, start.focals, f"global, {start.name}", self._seed), ties)

    def settled(self, photos: int) -> bool:
        """Whether so many photos are believed, what was kept from mapping agrees, and nothing firm contradicts."""
        if not self.scored or len(self.scored[0].judged.photos) < photos:
            return False
        best = self.scored[0]
        against = any(one.contradicts and one.pair.log_odds > FIRM for one in best.judged.pairs)
        return best.held_out >= _ENOUGH * best.tested and not against

    def _of(self, ties: Collection[Ends]) -> MatchGraph:
        return replace(self._mapped, pairs=[pair for pair in self._mapped.pairs if (pair.a, pair.b) in ties])

    def _add(self, models: Sequence[Candidate], ties: Collection[Ends]) -> None:
        self.scored.extend(self._score(model, frozenset(ties)) for model in models)
        self.scored.sort(key=Scored.order, reverse=True)  # stable: of equal models the first found

    def _score(self, model: Candidate, ties: frozenset[Ends]) -> Scored:
        judged = judge(model, self._mapped, self.sensors, self._tolerance)
        tests = [
            one
            for one in agreements(model, self._tested, self.sensors, self._tolerance)
            if one.pair.a in judged.photos and one.pair.b in judged.photos
        ]
        return Scored(
            model,
            judged,
            ties,
            held_out=int(sum(one.agrees.sum() for one in tests)),
            tested=sum(len(one.agrees) for one in tests),
            median_error_px=float(np.median(model.bundle.errors_px())),
        )


def find_models(
    graph: MatchGraph,
    sensors: Sensors,
    starts: list[Start],
    max_error_px: float,
    seed: int,
    progress: Progress,
    ties: Collection[Ends] | None = None,
) -> list[Scored]:
    """Map incrementally and globally, from several focal lengths and choices of ties; the best by evidence first.

    A part of the tracks is held out from mapping and tests the models.

    Args:
        ties: the only choice that is tried; None: as many as the evidence asks for.
    """
    models = Models(graph, sensors, max_error_px, seed)
    usable = {(pair.a, pair.b) for pair in models.pairs}
    likely = _best_ties(models.pairs, len(graph.photos))
    if ties is not None:
        likely = usable = {ends for ends in usable if ends in ties}
    most = len(groups(len(graph.photos), usable)[0])
    _from_all_starts(models, likely or usable, starts, len(graph.photos), progress)
    if ties is None and not models.settled(most):
        for ties in _turns(models, usable, likely):
            focals = focals_of(models.scored[0].model, sensors, starts[0].focals) if models.scored else starts[0].focals
            start = Start(focals, "focal length found" if models.scored else starts[0].name)
            models.incremental(ties, start)
            if len(graph.photos) <= _FEW:
                models.globally(ties, start)
            if models.settled(most):
                break
    progress.tell(MappingFacts(models=tuple(one.fact() for one in models.scored)))
    return models.scored


def _from_all_starts(
    models: Models, ties: Collection[Ends], starts: Sequence[Start], photos: int, progress: Progress
) -> None:
    """Global mapping, which takes longest, is only tried with the focal lengths that were found."""
    most, tried = len(groups(photos, ties)[0]), None
    for done, start in enumerate(starts):
        progress.step(done, len(starts), "starting focal length")
        models.incremental(ties, start)
        if models.settled(most) and photos > _FEW:
            break
        best = models.scored[0] if models.scored else None
        if best is None or best is not tried:
            focals = start.focals if best is None else focals_of(best.model, models.sensors, start.focals)
            models.globally(ties, Start(focals, start.name if best is None else "focal length found"))
            tried = models.scored[0] if models.scored else None
        if models.settled(most):
            break
    progress.step(len(starts), len(starts), "starting focal length")


def _best_ties(pairs: Sequence[Pair], photos: int) -> set[Ends]:
    """The firm ties, and as many of the likely ones, the likeliest first, as hold together what all of them do."""
    likely = sorted((pair for pair in pairs if pair.log_odds > 0), key=lambda pair: -pair.log_odds)
    whole = groups(photos, [(pair.a, pair.b) for pair in likely])
    chosen = [(pair.a, pair.b) for pair in likely if pair.log_odds > FIRM]
    while groups(photos, chosen) != whole:
        chosen.append((likely[len(chosen)].a, likely[len(chosen)].b))
    return set(chosen)


def _turns(models: Models, usable: set[Ends], likely: set[Ends]) -> Iterator[frozenset[Ends]]:
    """Other choices of ties: all likely ones, the doubtful ones, too; then, of the best model, what contradicts it
    instead of that on which it rests."""
    tried = {frozenset(likely)}
    all_likely = frozenset((pair.a, pair.b) for pair in models.pairs if pair.log_odds > 0)
    for ties in (all_likely, frozenset(usable)):
        if ties and ties not in tried:
            tried.add(ties)
            yield ties
    for _ in range(_TURNS):
        fresh = [ties for ties in _turned(models) if ties not in tried]
        if not fresh:
            return
        tried.add(fresh[0])
        yield fresh[0]


def _turned(models: Models) -> Iterator[frozenset[Ends]]:
    """The ties of the best models with one cut turned, what contradicts most first."""
    for scored in models.scored[:2]:
        agree = {(one.pair.a, one.pair.b): one.log_odds for one in scored.judged.pairs if one.supports}
        against = {(one.pair.a, one.pair.b): one.pair.log_odds for one in scored.judged.pairs if one.contradicts}
        sides = [
            weakest_between(scored.model.photos, agree, ends)
            for ends in sorted(against, key=lambda ends: (-against[ends], ends))
        ]
        if len(scored.model.photos) < models.photos:
            sides.append(believe(scored.model.photos, agree, against).misplaced)
        for side in sides:
            cut = {ends for ends in agree if (ends[0] in side) != (ends[1] in side)}
            yield frozenset({*scored.ties, *against} - cut)


def complete(scored: Scored, graph: MatchGraph, sensors: Sensors, max_error_px: float, seed: int) -> Candidate | None:
    """The believed photos with the points of all matches that fit them.

    None where no points are left.
    """
    model, kept = scored.model, set(scored.judged.photos)
    fitting = [one.pair for one in agreements(model, graph, sensors, max_error_px) if one.supports]
    pairs = [pair for pair in fitting if pair.a in kept and pair.b in kept]
    poses = {i: pose_of(model, k) for k, i in enumerate(model.photos) if i in kept}
    focals = focals_of(model, sensors, np.ones(len(sensors.groups)))
    return triangulate(replace(graph, pairs=pairs), sensors, focals, poses, model.start, seed)


def focals_of(model: Candidate, sensors: Sensors, others: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """The model's focal lengths; those of `others` for lenses that it has not."""
    focals = others.copy()
    focals[np.unique(sensors.lens[model.photos])] = np.exp(model.bundle.log_focal)
    return focals
