"""Photos placed by what they share: mapped, refined, and judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fewview.recon.progress import Progress
from fewview.recon.sfm import MappingConfig, MappingFacts
from fewview.recon.sfm.bundle import Prior
from fewview.recon.sfm.evidence import agreements, believed, misfits, missing
from fewview.recon.sfm.focals import GUESS_DEG, focals_at, known_focals
from fewview.recon.sfm.given import map_around
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.hypotheses import Start, best_model, complete
from fewview.recon.sfm.known import Known
from fewview.recon.sfm.mapping import Candidate, Sensors
from fewview.recon.sfm.reasons import CONTRADICTED, LOOSE, MISFIT, UNSUPPORTED
from fewview.recon.sfm.refine import make_prior, prior_without, refine, without_photo
from fewview.recon.sfm.ties import at_one_scale


@dataclass(frozen=True)
class Placed:
    """A model that nothing contradicts."""

    model: Candidate
    sensors: Sensors
    fates: dict[int, str] = field(default_factory=dict)
    """Why a place that a photo had was taken away, by photo."""


@dataclass(frozen=True)
class Placing:
    """Places the photos of one graph, for whatever is believed of their lenses."""

    graph: MatchGraph
    known: Known
    config: MappingConfig

    def map(self, sensors: Sensors, starts: list[Start], progress: Progress) -> Placed | None:
        """Mapped from the matches, around the given poses where there are any; None where no two photos are placed."""
        fates: dict[int, str] = {}
        if self.known.poses:
            model = self._map_given(sensors, starts)
        else:
            model = self._map_free(sensors, starts, fates, progress)
        return None if model is None else self.settle(model, sensors, fates)

    def prior(self, model: Candidate, sensors: Sensors) -> Prior:
        """Of the model's intrinsics."""
        focals = known_focals(self.graph, sensors, self.known)
        return make_prior(model, sensors, focals, focals_at(sensors, GUESS_DEG))

    def settle(self, model: Candidate, sensors: Sensors, fates: dict[int, str]) -> Placed:
        """See `settle`."""
        prior, fates = self.prior(model, sensors), dict(fates)
        return Placed(settle(model, prior, self.graph, sensors, self.config, fates), sensors, fates)

    def _map_given(self, sensors: Sensors, starts: list[Start]) -> Candidate | None:
        """Of several starting focal lengths for the other photos, that which places most."""
        poses = self.known.poses
        # Between given poses the geometry itself tells true matches from those of things that look alike.
        pairs = [pair for pair in self.graph.pairs if pair.trusted or (pair.a in poses and pair.b in poses)]
        graph = replace(self.graph, pairs=pairs)
        models: list[Candidate] = []
        for start in starts:
            models += map_around(graph, sensors, start.focals, poses, start.name, self.config.seed)
        return max(models, key=lambda model: (len(model.photos), len(model.bundle.xy)), default=None)

    def _map_free(
        self, sensors: Sensors, starts: list[Start], fates: dict[int, str], progress: Progress
    ) -> Candidate | None:
        tolerance, seed = self.config.max_error_px, self.config.seed
        scored = best_model(self.graph, sensors, starts, tolerance, seed, progress)
        if scored is None or len(scored.photos) < 2:
            return None
        progress.tell(MappingFacts(model_chosen=scored.model.start))
        fates.update({i: CONTRADICTED for i in scored.model.photos if i not in scored.photos})
        return complete(scored, self.graph, sensors, tolerance, seed)


def settle(
    model: Candidate,
    prior: Prior,
    graph: MatchGraph,
    sensors: Sensors,
    config: MappingConfig,
    fates: dict[int, str],
) -> Candidate:
    """Refined, until nothing contradicts the place of a photo that is left; notes why the others are not.

    Fewer than two photos may be left.
    """
    while True:
        refined = refine(model, prior, config.max_error_px, config.min_observations)
        prior = prior_without(prior, model.photos, refined.photos)
        fates.update({i: UNSUPPORTED for i in model.photos if i not in refined.photos})
        pairs = agreements(refined, graph, sensors, config.max_error_px)
        held = {i for i, is_held in zip(refined.photos, refined.bundle.held, strict=True) if is_held}
        why = dict.fromkeys(misfits(refined), MISFIT)
        if prior.poses is None and not held:
            why |= {i: LOOSE for i, tied in zip(refined.photos, at_one_scale(refined.bundle), strict=True) if not tied}
        stays = set(believed(refined, pairs, missing(refined))) - why.keys() | held
        gone = [i for i in refined.photos if i not in stays]
        if not gone:
            return refined
        fates.update({i: why.get(i, CONTRADICTED) for i in gone})
        model = refined
        for i in gone:
            model = without_photo(model, i)
        prior = prior_without(prior, refined.photos, model.photos)
        if len(model.photos) < 2:
            return model
