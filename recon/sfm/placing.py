"""Photos placed by what they share: mapped, refined, and judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from fewview.recon.progress import Progress
from fewview.recon.sfm import MappingConfig, MappingFacts
from fewview.recon.sfm.bundle import Bundle, Prior, pose_deviations
from fewview.recon.sfm.evidence import agreements, misfits
from fewview.recon.sfm.focals import GUESS_DEG, Start, focals_at, known_focals
from fewview.recon.sfm.given import map_around
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.hypotheses import Ends, Judged, complete, find_models, focals_of, judge
from fewview.recon.sfm.known import Known
from fewview.recon.sfm.mapping import Candidate, Sensors
from fewview.recon.sfm.near import pose_of
from fewview.recon.sfm.reasons import CONTRADICTED, LOOSE, MISFIT, UNSUPPORTED, VAGUE, unsure
from fewview.recon.sfm.refine import make_prior, prior_without, refine, without_photo
from fewview.recon.sfm.ties import at_one_scale

RIGHT_ROTATION, RIGHT_DIRECTION = np.radians(2.0), np.radians(5.0)
"""Errors up to which a place counts as right: of the rotation against another photo, and of the direction to it."""


_CORRELATED, _LENS_PX = 4.0, 0.5
"""Matches, which err together, tell a place as if each erred by itself by so many times its noise; to which lenses add
so many working pixels. Fitted to 97 models of 81 choices from ten real sets (3 to 7 photos, tests.benchmarks.cameras):
the logarithm of the probability of what is right is -.163 a photo; without the lenses' part, and 7 times as for focal
lengths, -.201. Fitted without the set that is judged, places stated at .08 are right in .08 of 25, at .27 in .22 of 9,
at .42 in .80 of 20, at .68 in .91 of 34, at .91 in .89 of 27, and at .996 in .986 of 292."""
LIKELY = 0.3
"""Probability, to these errors, under which a place is too vague: of the places of those models, 3 of 28 with less were
right, of 379 with more 360. It is less than that from which ties are believed, because between the two are too
humble."""


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

    def map(
        self, sensors: Sensors, starts: list[Start], progress: Progress, ties: frozenset[Ends] | None = None
    ) -> Placed | None:
        """Mapped from the matches, around the given poses where there are any; None where no two photos are placed.

        Args:
            ties: see `find_models`.
        """
        fates: dict[int, str] = {}
        if self.known.poses:
            model = self._map_given(sensors, starts)
        else:
            model = self._map_free(sensors, starts, fates, progress, ties)
        if model is None:
            return None
        return self.settle(model, sensors, fates)

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
        pairs = [pair for pair in self.graph.pairs if pair.log_odds > 0 or (pair.a in poses and pair.b in poses)]
        graph = replace(self.graph, pairs=pairs)
        models: list[Candidate] = []
        for start in starts:
            models += map_around(graph, sensors, start.focals, poses, start.name, self.config.seed)
        return max(models, key=lambda model: (len(model.photos), len(model.bundle.xy)), default=None)

    def _map_free(
        self,
        sensors: Sensors,
        starts: list[Start],
        fates: dict[int, str],
        progress: Progress,
        ties: frozenset[Ends] | None,
    ) -> Candidate | None:
        tolerance, seed = self.config.max_error_px, self.config.seed
        found = find_models(self.graph, sensors, starts, tolerance, seed, progress, ties)
        if not found or len(found[0].judged.photos) < 2:
            return None
        scored = found[0]
        progress.tell(MappingFacts(model_chosen=scored.model.start))
        fates.update(dict.fromkeys(scored.judged.contradicted - set(scored.judged.photos), CONTRADICTED))
        model = complete(scored, self.graph, sensors, tolerance, seed)
        return None if model is None else self._joined(model, sensors)

    def _joined(self, model: Candidate, sensors: Sensors) -> Candidate:
        """With the photos that find a place among those of the model, by whatever they share with them."""
        left = {i for pair in self.graph.pairs if len(pair.matches) for i in (pair.a, pair.b)} - set(model.photos)
        if not left:
            return model
        poses = {i: pose_of(model, k) for k, i in enumerate(model.photos)}
        found = set(sensors.lens[model.photos])
        held = replace(sensors, exact=sensors.exact | np.isin(np.arange(len(sensors.groups)), list(found)))
        focals = focals_of(model, sensors, focals_at(sensors, GUESS_DEG, known_focals(self.graph, sensors, self.known)))
        # What disagrees among the placed photos would chain their points to others.
        placed = agreements(model, self.graph, sensors, self.config.max_error_px)
        apart = {(one.pair.a, one.pair.b) for one in placed if not one.supports}
        pairs = [pair for pair in self.graph.pairs if (pair.a, pair.b) not in apart]
        graph = replace(self.graph, pairs=pairs)
        for joined in map_around(graph, held, focals, poses, model.start, self.config.seed):
            if len(joined.photos) > len(model.photos):
                return replace(joined, bundle=replace(joined.bundle, held=np.zeros(len(joined.photos), bool)))
        return model


def probabilities(
    model: Candidate, prior: Prior, graph: MatchGraph, sensors: Sensors, config: MappingConfig
) -> tuple[dict[int, float], Judged]:
    """By photo, that its place is right: to `RIGHT_ROTATION` and `RIGHT_DIRECTION`, against most of the others.

    It is where its ties are true, and the observations tell the place well enough; and what the ties say by themselves.
    Of two groups that are rigid by themselves and hinge on each other, the photos of one are in no place.
    """
    judged = judge(model, graph, sensors, config.max_error_px)
    if len(model.photos) < 2 or not len(model.bundle.xy):
        believed = dict(zip(judged.photos, judged.belief.probability.tolist(), strict=True))
        return {i: believed.get(i, 0.0) for i in model.photos}, judged
    precise = _precise(model.bundle, prior)
    found = dict.fromkeys(model.photos, 0.0)
    stays = [model.photos.index(i) for i in judged.photos]
    belief = dict(zip(stays, judged.belief.probability.tolist(), strict=True))
    while len(stays) > 1:
        likely = np.nanmedian(precise[np.ix_(stays, stays)], axis=1) * [belief[k] for k in stays]
        if likely.min() >= LIKELY:
            return found | {model.photos[k]: float(p) for k, p in zip(stays, likely, strict=True)}, judged
        del stays[int(likely.argmin())]
    return found, judged


def _precise(bundle: Bundle, prior: Prior) -> Float[np.ndarray, "I I"]:
    """Of each image, the probability that its pose errs by less than what counts as right, against each other one; NaN
    against itself."""
    noise = _CORRELATED * math.hypot(bundle.noise_px(), _LENS_PX)
    rotation, direction = pose_deviations(bundle, prior, noise)
    out = np.full_like(rotation, np.nan)
    apart = ~np.eye(len(out), dtype=bool)
    # Of a normal distribution over a plane, whose variances sum to the square of the deviation.
    shares = [
        -np.expm1(-((right / np.maximum(deviation[apart], 1e-9)) ** 2))
        for deviation, right in ((rotation, RIGHT_ROTATION), (direction, RIGHT_DIRECTION))
    ]
    out[apart] = shares[0] * shares[1]
    return out


def settle(
    model: Candidate,
    prior: Prior,
    graph: MatchGraph,
    sensors: Sensors,
    config: MappingConfig,
    fates: dict[int, str],
) -> Candidate:
    """Refined, until every photo that is left has a place that is probable enough; notes why the others have none.

    Fewer than two photos may be left.
    """
    while True:
        refined = refine(model, prior, config.max_error_px, config.min_observations)
        prior = prior_without(prior, model.photos, refined.photos)
        fates.update({i: UNSUPPORTED for i in model.photos if i not in refined.photos})
        held = {i for i, is_held in zip(refined.photos, refined.bundle.held, strict=True) if is_held}
        why = dict.fromkeys(misfits(refined), MISFIT)
        probable, judged = probabilities(refined, prior, graph, sensors, config)
        if prior.poses is None and not held:
            why |= {i: LOOSE for i, tied in zip(refined.photos, at_one_scale(refined.bundle), strict=True) if not tied}
            why |= {i: VAGUE for i in judged.photos if not probable[i] and i not in why}
            why |= {i: unsure(p) for i, p in judged.doubted.items() if i not in why and i not in judged.contradicted}
        stays = set(judged.photos) - why.keys() | held
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
