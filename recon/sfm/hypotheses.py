"""Several models of the same matches, and the one that the evidence favours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.progress import Progress
from fewview.recon.sfm import MappingFacts, ModelFact
from fewview.recon.sfm.evidence import agreements, believed, missing
from fewview.recon.sfm.given import triangulate
from fewview.recon.sfm.globally import map_globally
from fewview.recon.sfm.graph import MatchGraph, groups
from fewview.recon.sfm.mapping import Candidate, Sensors, map_photos
from fewview.recon.sfm.tracks import held_out, only

_ENOUGH = 0.9
"""Share of held-out matches that agree with a model, all of whose photos are believed, from which no other starting
focal length is tried."""
_FEW = 12
"""Photos up to which global mapping is always tried. With more it takes minutes, and incremental mapping has less
need of it."""


@dataclass(frozen=True)
class Start:
    """Focal lengths to start from."""

    focals: Float[np.ndarray, " L"]
    """Of each lens, in working pixels."""
    name: str


@dataclass(frozen=True)
class Scored:
    """A model and what speaks for it."""

    model: Candidate
    photos: list[int]
    """Those whose places are believed."""
    held_out: int
    """Matches of tracks kept from mapping that agree with the poses."""
    tested: int
    """All matches of such tracks between the model's photos."""
    median_error_px: float

    def order(self) -> tuple[int, int, float]:
        """Larger is better."""
        return len(self.photos), self.held_out, -self.median_error_px

    def fact(self) -> ModelFact:
        return ModelFact(
            start=self.model.start,
            registered=len(self.model.photos),
            believed=len(self.photos),
            observations=len(self.model.bundle.xy),
            held_out_agree=self.held_out,
            held_out=self.tested,
            median_error_px=round(self.median_error_px, 3),
        )


def best_model(
    graph: MatchGraph, sensors: Sensors, starts: list[Start], max_error_px: float, seed: int, progress: Progress
) -> Scored | None:
    """Map the trusted pairs incrementally and globally from several focal lengths; the best by evidence.

    A part of the tracks is held out from mapping and tests the models.
    """
    trusted = [pair for pair in graph.pairs if pair.trusted]
    tests = held_out(graph, trusted)
    mapped = replace(graph, pairs=[only(pair, ~test) for pair, test in zip(trusted, tests, strict=True)])
    tested = replace(graph, pairs=[only(pair, test) for pair, test in zip(trusted, tests, strict=True)])
    most = len(groups(len(graph.photos), [(pair.a, pair.b) for pair in trusted])[0])
    scored: list[Scored] = []

    def add(models: list[Candidate]) -> None:
        scored.extend(_score(model, mapped, tested, sensors, max_error_px) for model in models)
        scored.sort(key=Scored.order, reverse=True)  # stable: of equal models the first found

    def settled() -> bool:
        return bool(scored) and len(scored[0].photos) == most and scored[0].held_out >= _ENOUGH * scored[0].tested

    for done, start in enumerate(starts):
        progress.step(done, len(starts), "starting focal length")
        add(map_photos(mapped, sensors, start.focals, f"incremental, {start.name}", seed))
        if settled() and len(graph.photos) > _FEW:
            break
        if scored:
            found = focals_of(scored[0].model, sensors, start.focals)
            add(map_globally(mapped, sensors, found, "global, focal length found", seed))
        if settled():
            break
        add(map_globally(mapped, sensors, start.focals, f"global, {start.name}", seed))
    progress.step(len(starts), len(starts), "starting focal length")
    progress.tell(MappingFacts(models=tuple(one.fact() for one in scored)))
    return scored[0] if scored else None


def complete(scored: Scored, graph: MatchGraph, sensors: Sensors, max_error_px: float, seed: int) -> Candidate | None:
    """The believed photos with the points of all matches that fit them, also of doubtful pairs.

    None where no points are left.
    """
    model, kept = scored.model, set(scored.photos)
    fitting = [one.pair for one in agreements(model, graph, sensors, max_error_px) if one.supports]
    pairs = [pair for pair in fitting if pair.a in kept and pair.b in kept]
    poses = {}
    for k, i in enumerate(model.photos):
        if i in kept:
            poses[i] = np.eye(4)
            poses[i][:3, :3], poses[i][:3, 3] = model.bundle.R[k], model.bundle.t[k]
            poses[i] = invert_rigid(poses[i])
    focals = focals_of(model, sensors, np.ones(len(sensors.groups)))
    return triangulate(replace(graph, pairs=pairs), sensors, focals, poses, model.start, seed)


def focals_of(model: Candidate, sensors: Sensors, others: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """The model's focal lengths; those of `others` for lenses that it has not."""
    focals = others.copy()
    focals[np.unique(sensors.lens[model.photos])] = np.exp(model.bundle.log_focal)
    return focals


def _score(model: Candidate, mapped: MatchGraph, tested: MatchGraph, sensors: Sensors, max_error_px: float) -> Scored:
    photos = believed(model, agreements(model, mapped, sensors, max_error_px), missing(model))
    tests = [
        one for one in agreements(model, tested, sensors, max_error_px) if one.pair.a in photos and one.pair.b in photos
    ]
    return Scored(
        model,
        photos,
        held_out=int(sum(one.agrees.sum() for one in tests)),
        tested=sum(len(one.agrees) for one in tests),
        median_error_px=float(np.median(model.bundle.errors_px())),
    )
