"""A fixed number of poses for bundle adjustment, however long the videos are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fewview.calibration.tracks.sample import Sample, concatenate, deviation_px
from fewview.calibration.tracks.tracklets import Track

Person = dict[int, list[Track]]
"""Tracklets of one person, by camera."""

CONFIDENCE_POWER = 2
"""Weights are confidences to this power: detectors that say half as sure err about 1.4 times as far."""
_CANDIDATES = 5
"""Instants looked at for each that is taken."""
_FEWEST_POSES = 8
_MIN_JOINTS = 5
_MIN_CONFIDENCE = 0.2


def sample(people: list[list[Person]], offsets_s: Float[np.ndarray, "C T"], count: int) -> Sample:
    """About `count` poses, shared among the people of all takes by how much two or more cameras saw of them.

    A person's time is cut into as many bins as it gets poses; of each bin the instant is taken that most cameras are
    most certain of.

    Args:
        people: per take.
    """
    everyone = [(take, number, person) for take, group in enumerate(people) for number, person in enumerate(group)]
    seen = np.array([shared_view(person) for *_, person in everyone])
    shares = np.maximum(_FEWEST_POSES, np.round(count * seen / seen.sum()).astype(int))
    parts = [
        _person(person, take, number, offsets_s, int(share))
        for (take, number, person), share in zip(everyone, shares, strict=True)
    ]
    return concatenate(parts)


def shared_view(person: Person) -> float:
    """What two or more cameras see of a person: all but the camera that sees most."""
    seen = [sum(t.seen for t in tracks) for tracks in person.values()]
    return sum(seen) - max(seen)


def _person(person: Person, take: int, number: int, offsets_s: np.ndarray, count: int) -> Sample:
    spans = [(t.start_s + offsets_s[c, take], t.stop_s + offsets_s[c, take]) for c, ts in person.items() for t in ts]
    edges = np.sort(np.array(spans), axis=0)
    # From when a second camera sees the person to when the last but one stops.
    start, stop = edges[min(1, len(edges) - 1), 0], edges[max(len(edges) - 2, 0), 1]
    instants = np.linspace(start, stop, count * _CANDIDATES)
    xy, velocity, confidence = gather(person, take, offsets_s, instants)
    joints = (confidence > _MIN_CONFIDENCE).sum(axis=2)
    usable = (joints >= _MIN_JOINTS).sum(axis=0) >= 2
    quality = np.where(usable, (confidence**CONFIDENCE_POWER).sum(axis=(0, 2)), -1.0)
    best = quality.reshape(count, _CANDIDATES).argmax(axis=1) + np.arange(count) * _CANDIDATES
    best = best[usable[best]]
    weight = confidence[:, best] ** CONFIDENCE_POWER
    seen = weight > 0
    return Sample(
        np.where(seen[..., None], xy[:, best], 0),
        np.where(seen[..., None], velocity[:, best], 0),
        weight,
        deviation_px(xy[:, best], seen),
        offsets_s.copy(),
        np.full(len(best), take),
        np.full(len(best), number),
        instants[best],
    )


def gather(
    person: Person, take: int, offsets_s: Float[np.ndarray, "C T"], instants_s: Float[np.ndarray, " K"]
) -> tuple[Float[np.ndarray, "C K J 2"], Float[np.ndarray, "C K J 2"], Float[np.ndarray, "C K J"]]:
    """Pixels, velocity and confidence of a person in all cameras at instants of the common time."""
    joints = next(iter(person.values()))[0].xy.shape[1]
    C, K = len(offsets_s), len(instants_s)
    xy, velocity = np.zeros((C, K, joints, 2)), np.zeros((C, K, joints, 2))
    confidence = np.zeros((C, K, joints))
    for camera, tracks in person.items():
        for track in tracks:
            x, v, c = track.at(instants_s - offsets_s[camera, take])
            better = c > confidence[camera]
            xy[camera][better], velocity[camera][better], confidence[camera][better] = x[better], v[better], c[better]
    return xy, velocity, confidence
