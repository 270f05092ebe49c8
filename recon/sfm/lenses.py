"""Photos that record no lens: one for all, or several, by evidence.

Few photos hardly tell focal lengths apart, and a lens of its own for each bends the scene (ngp_fox20 at 3 photos: the
error of directions goes from .6 to 3.6 degrees). But a photo that was zoomed or cropped finds a place, with the focal
length of the others, that explains it: at a wrong distance, with no other sign than a fit that is somewhat worse. So
photos of one group share a lens at first. Then their focal lengths are let go. Those of one lens stay together; where
they part, the photos are mapped again, each with a lens of its own, and these are then put together to as few as the
observations allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from fewview.recon.progress import LogProgress, Progress
from fewview.recon.sfm import LensFact, MappingFacts
from fewview.recon.sfm.bundle import adjust, support
from fewview.recon.sfm.focals import Start
from fewview.recon.sfm.mapping import Candidate, Sensors, divided
from fewview.recon.sfm.placing import Placed, Placing

_APART = 0.1
"""Difference of the logarithms of focal lengths from which they may be those of two lenses. In 17 runs on eight real
scenes the photos of one lens were up to .08 apart."""
_SUPPORT = 0.1
"""By how much a further lens must raise the logarithm of the probability, per observation that a photo has. What
matches err by together asks for up to .11, but for focal lengths that are not `_APART`; crops by 1.15 to 3 for more (of
29 on the same scenes one did not, by 1.25 at 3 photos)."""
_MIN_SUPPORT = 30.0
_FEW = 4
"""Photos up to which each is also mapped with the only other lens: with lenses for all, so few may go quite astray."""
_CLEARLY = 1.5
"""How much more of a gain that must bring (which of 3 photos is the odd one is better told by lenses for all), and how
much further apart the focal length must be that gives a photo its place."""
_MOST_CUTS = 6
"""More lenses than these are not counted one by one: each photo that is apart has its own."""
_MIN_PHOTOS = 3
"""Two photos tell nothing of two focal lengths."""
_ROUNDS = 2
"""Of the adjustment that lets the focal lengths go: how far they would go in the end is not asked."""
_STRAIGHT = 1e-9
"""Deviation of the distortion of lenses that have none."""


def each_its_own(sensors: Sensors, starts: Sequence[Start], placing: Placing, progress: Progress) -> Placed | None:
    """The model with as many lenses as the photos ask for, where one for all of a group explains no two photos."""
    apart = divided(sensors, _single(sensors))
    if len(apart.groups) == len(sensors.groups):
        return None
    focals = np.zeros((len(starts), len(apart.groups)))
    focals[:, apart.lens] = [start.focals[sensors.lens] for start in starts]
    own = [Start(each, start.name) for each, start in zip(focals, starts, strict=True)]
    found = _merged(placing.map(apart, own, LogProgress()), sensors, placing)
    return _chosen(found, len(found), sensors, placing, progress) if found else None


def by_evidence(shared: Placed, placing: Placing, progress: Progress) -> Placed:
    """The model with as many lenses as the photos ask for.

    Args:
        shared: in which photos of one group have one lens.
    """
    single = _single(shared.sensors)
    apart = divided(shared.sensors, single)
    if len(apart.groups) == len(shared.sensors.groups):
        return shared
    enough, left_out = len(shared.model.photos) >= _MIN_PHOTOS, _left_out(shared, placing)
    together = enough and not _parts(shared.model, apart, placing)
    if not left_out and (together or not enough):
        return shared
    if together:
        # Those with a place have one lens: with one each, photos of what only looks alike find places, too.
        single = np.where(np.isin(single, left_out), single, -1)
        apart = divided(shared.sensors, single)
    merged = _merged(_map(shared, apart, placing), shared.sensors, placing)
    mapped = _mapped(shared, single, placing) if len(single) <= _FEW else []
    if together:
        merged, mapped = ([one for one in found if _brings(one, shared)] for found in (merged, mapped))
    return _chosen([shared, *merged, *mapped], 1 + len(merged), shared.sensors, placing, progress)


def _chosen(found: Sequence[Placed], merged: int, before: Sensors, placing: Placing, progress: Progress) -> Placed:
    """Of models with ever more lenses, that whose lenses the observations are worth.

    Args:
        merged: so many, the first; the others must bring clearly more.
    """
    lenses, supports = np.array([len(np.unique(one.sensors.lens)) for one in found]), _supports(found, placing)
    least = max(_MIN_SUPPORT, _SUPPORT * len(found[0].model.bundle.xy) / len(found[0].model.photos))
    gains = supports - supports[0] - least * (lenses - lenses[0])
    chosen = int(np.argmax(gains[:merged]))
    if gains.max() > _CLEARLY * gains[chosen]:
        chosen = int(np.argmax(gains))
    compared = zip(lenses.tolist(), (supports - supports[0]).tolist(), strict=True)
    progress.tell(MappingFacts(lens_models=tuple(LensFact(count, round(value, 1)) for count, value in compared)))
    _say(found[chosen], before, placing, progress)
    return found[chosen]


def _map(shared: Placed, sensors: Sensors, placing: Placing) -> Placed | None:
    """Mapped anew with other lenses, from the focal lengths that the photos had."""
    focals = np.full(len(sensors.groups), np.exp(shared.model.bundle.log_focal.mean()))
    focals[sensors.lens[shared.model.photos]] = np.exp(shared.model.bundle.log_focal[shared.model.bundle.lens])
    ties = frozenset((pair.a, pair.b) for pair in placing.graph.pairs if pair.log_odds > 0)
    return placing.map(sensors, [Start(focals, "focal lengths found")], LogProgress(), ties)


def _merged(own: Placed | None, sensors: Sensors, placing: Placing) -> list[Placed]:
    """A model with a lens a photo, with these put together to two, to three and so on; and as it is."""
    if own is None or len(own.model.photos) < _MIN_PHOTOS:
        return []
    found = []
    for part in _partitions(own.model, sensors):
        fewer = divided(sensors, part)
        found.append(placing.settle(with_lenses(own.model, fewer), fewer, own.fates))
    return [*(one for one in found if _is_apart(one, sensors)), own] if found else []


def _mapped(shared: Placed, single: Int[np.ndarray, " I"], placing: Placing) -> list[Placed]:
    """Mapped anew with one photo of another lens than the others, each photo in turn."""
    found = [_map(shared, divided(shared.sensors, (single == i).astype(int)), placing) for i in single[single >= 0]]
    return [one for one in found if one is not None and _is_apart(one, shared.sensors)]


def _is_apart(placed: Placed, before: Sensors) -> bool:
    """Whether enough photos are placed, and the lenses that were one differ."""
    model = placed.model
    focal = model.bundle.log_focal[model.bundle.lens]
    former = before.lens[model.photos]
    values = [np.unique(focal[former == lens]) for lens in np.unique(former)]
    return len(model.photos) >= _MIN_PHOTOS and all((np.diff(each) > _APART).all() for each in values)


def with_lenses(model: Candidate, sensors: Sensors) -> Candidate:
    """The model with other lenses and sensors, which take the mean of what their photos had."""
    bundle = model.bundle
    lens, sensor = (np.unique(of[model.photos], return_inverse=True)[1] for of in (sensors.lens, sensors.sensor))

    def mean(values: np.ndarray, kind: Int[np.ndarray, " I"]) -> np.ndarray:
        return np.array([values[kind == k].mean(axis=0) for k in range(kind.max() + 1)])

    changed = replace(
        bundle,
        log_focal=mean(bundle.log_focal[bundle.lens], lens),
        k1=mean(bundle.k1[bundle.lens], lens),
        fisheye=mean(bundle.fisheye[bundle.lens], lens) > 0,
        principal=mean(bundle.principal[bundle.sensor], sensor),
        lens=lens,
        sensor=sensor,
    )
    return replace(model, bundle=changed)


def _single(sensors: Sensors) -> Int[np.ndarray, " I"]:
    """A part for each photo whose lens is not given."""
    return np.where(sensors.exact[sensors.lens], -1, np.arange(len(sensors.lens)))


def _left_out(shared: Placed, placing: Placing) -> list[int]:
    """Photos without a place that certainly show what one with a place does."""
    placed, found = set(shared.model.photos), set()
    for pair in placing.graph.pairs:
        if pair.log_odds > 0 and (pair.a in placed) != (pair.b in placed):
            found.add(pair.b if pair.a in placed else pair.a)
    return sorted(found)


def _brings(one: Placed, shared: Placed) -> bool:
    """Whether a model places a photo that had no place, by another focal length than those placed before."""
    model, before = one.model, set(shared.model.photos)
    focal = dict(zip(model.photos, model.bundle.log_focal[model.bundle.lens], strict=True))
    new = focal.keys() - before
    usual = np.median([value for i, value in focal.items() if i in before]) if before & focal.keys() else np.inf
    return any(abs(focal[i] - usual) > _CLEARLY * _APART for i in new)


def _parts(model: Candidate, apart: Sensors, placing: Placing) -> bool:
    """Whether the focal lengths of a lens part when they are let go."""
    bundle, prior = with_lenses(model, apart).bundle, placing.prior(model, apart)
    prior = replace(prior, k1_deviation=np.where(bundle.k1 == 0, _STRAIGHT, prior.k1_deviation))
    focal = adjust(bundle, prior, rounds=_ROUNDS).log_focal[bundle.lens]
    return any(np.ptp(focal[model.bundle.lens == lens]) > _APART for lens in np.unique(model.bundle.lens))


def _partitions(own: Candidate, sensors: Sensors) -> list[Int[np.ndarray, " I"]]:
    """Parts of the photos of each lens, cut where their focal lengths are furthest apart: once, twice and so on, and
    wherever they are apart."""
    focal = np.full(len(sensors.lens), np.nan)
    focal[own.photos] = own.bundle.log_focal[own.bundle.lens]
    cuts = []
    for lens in range(len(sensors.groups)):
        values = np.sort(focal[(sensors.lens == lens) & np.isfinite(focal)])
        cuts += [(gap, (sensors.lens == lens) & (focal > at)) for gap, at in _gaps(values)]
    cuts.sort(key=lambda cut: -cut[0])
    counts = sorted({*range(1, min(len(cuts), _MOST_CUTS)), len(cuts)} - {0})
    return [np.sum([above for _, above in cuts[:count]], axis=0) for count in counts]


def _gaps(values: Float[np.ndarray, " N"]) -> list[tuple[float, float]]:
    """The widest gaps of ascending values, and where they are, that leave no part wider than `_APART`."""
    if not len(values) or values[-1] - values[0] <= _APART:
        return []
    k = int(np.argmax(np.diff(values)))
    here = float(values[k + 1] - values[k]), float(values[k + 1] + values[k]) / 2
    return [here, *_gaps(values[: k + 1]), *_gaps(values[k + 1 :])]


def _supports(found: Sequence[Placed], placing: Placing) -> Float[np.ndarray, " K"]:
    """Of models of the same matches, by the noise of that which fits best."""
    noise = min(one.model.bundle.noise_px() for one in found)
    models = [with_lenses(one.model, one.sensors) for one in found]  # without lenses whose photos were thrown out
    priors = [placing.prior(model, one.sensors) for model, one in zip(models, found, strict=True)]
    tolerance = placing.config.max_error_px
    return np.array([support(m.bundle, prior, noise, tolerance) for m, prior in zip(models, priors, strict=True)])


def _say(chosen: Placed, before: Sensors, placing: Placing, progress: Progress) -> None:
    """Which photos have got another lens than most of their group."""
    model, lens = chosen.model, chosen.sensors.lens
    focal = {i: model.bundle.log_focal[model.bundle.lens[k]] for k, i in enumerate(model.photos)}
    for group in np.unique(before.lens[model.photos]):
        members = [i for i in model.photos if before.lens[i] == group]
        most = np.bincount(lens[members]).argmax()
        usual = next(focal[i] for i in members if lens[i] == most)
        for other in sorted(set(lens[members]) - {most}):
            photos = [i for i in members if lens[i] == other]
            names = ", ".join(placing.graph.photos[i].name for i in photos)
            ratio = np.exp(focal[photos[0]] - usual)
            progress.note(f"Zoomed, cropped or of another camera, at {ratio:.2f} times the focal length: {names}.")
