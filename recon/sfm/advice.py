"""How well the photos cover each other, and what to photograph next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from fewview.recon.sfm.graph import MatchGraph, groups
from fewview.recon.sfm.mapping import Candidate, Sensors

_CELLS = 8
"""Coverage is counted in a grid of so many by so many cells."""
_MIN_KEYPOINTS = 3
"""A cell with fewer shows nothing that could be matched."""
FIRM = 100
"""Points that two photos share from which they are firmly tied."""
_BARE = 0.25
"""A side of a photo is bare where another photo sees less of it."""
_MOST_SIDES = 3
"""More sides than this are no advice."""


def overlaps(model: Candidate, graph: MatchGraph, sensors: Sensors) -> dict[int, float]:
    """By photo, the share of its textured area in which another photo sees the same points."""
    return {
        i: round(float(seen[textured].mean()), 2) if textured.any() else 0.0
        for i, (textured, seen) in _coverage(model, graph, sensors).items()
    }


def what_next(model: Candidate, graph: MatchGraph, sensors: Sensors) -> list[str]:
    """Sentences on which photo would help most; none where all is well."""
    names = [graph.photos[i].name for i in model.photos]
    advice = []
    for k, m, shared in weak_ties(_shared_points(model)):
        advice.append(f"{names[k]} and {names[m]} share only {shared} points: take a photo between the two.")
    placed = [pair for pair in graph.pairs if pair.log_odds > 0 and pair.a in model.photos and pair.b in model.photos]
    if placed and all(pair.model == "planar" for pair in placed):
        advice.append(
            "All that the photos share lies in one plane, which tells little of focal lengths: "
            "take photos that also show things before or behind it."
        )
    for i in range(len(graph.photos)):
        if i in model.photos:
            continue
        partners = [(pair, other) for pair, other in graph.partners(i) if other in model.photos]
        if partners:
            other = graph.photos[partners[0][1]].name
            advice.append(f"{graph.photos[i].name} was not placed: take a photo between it and {other}.")
        else:
            advice.append(f"{graph.photos[i].name} was not placed: take photos on the way from the others to it.")
    for name, side in bare_sides(model, graph, sensors):
        advice.append(f"No other photo sees the {side} of {name}: take one from there, further to the {side}.")
    return advice


def bare_sides(model: Candidate, graph: MatchGraph, sensors: Sensors) -> list[tuple[str, str]]:
    """Photos and their sides, `left` or `right`, that no other photo sees; the barest, a few at most."""
    bare = []
    for i, (textured, seen) in _coverage(model, graph, sensors).items():
        for side, cells in (("left", np.s_[:, :2]), ("right", np.s_[:, -2:])):
            inside = textured[cells]
            # Half of a side's cells must show something, or it is sky or a blank wall.
            if inside.mean() >= 0.5 and (share := float(seen[cells][inside].mean())) < _BARE:
                bare.append((share, graph.photos[i].name, side))
    return [(name, side) for _, name, side in sorted(bare)[:_MOST_SIDES]]


def _coverage(
    model: Candidate, graph: MatchGraph, sensors: Sensors
) -> dict[int, tuple[Bool[np.ndarray, "C C"], Bool[np.ndarray, "C C"]]]:
    """By photo, which cells (rows, columns) have keypoints, and which have points that another photo sees."""
    found = {}
    for k, i in enumerate(model.photos):
        size = sensors.size[sensors.sensor[i]]
        textured = _count(graph.keypoints[i] * sensors.scale[i] / size) >= _MIN_KEYPOINTS
        found[i] = textured, _count(model.bundle.xy[model.bundle.image == k] / size) > 0
    return found


def _count(at: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, "C C"]:
    """Points in each cell; `at` is in sizes of the photo."""
    x, y = np.clip((at * _CELLS).astype(int), 0, _CELLS - 1).T
    return np.bincount(y * _CELLS + x, minlength=_CELLS * _CELLS).reshape(_CELLS, _CELLS)


def _shared_points(model: Candidate) -> Int[np.ndarray, "I I"]:
    seen = np.zeros((len(model.photos), len(model.bundle.points)), np.float32)
    seen[model.bundle.image, model.bundle.point] = 1
    return (seen @ seen.T).astype(int)


def weak_ties(shared: Int[np.ndarray, "I I"]) -> Sequence[tuple[int, int, int]]:
    """The best tie of each group of firmly tied photos to the others, where that is not firm: two photos, and how
    many points they share.

    Args:
        shared: points that each two photos see.
    """
    count = len(shared)
    firm = [(a, b) for a, b in combinations(range(count), 2) if shared[a, b] >= FIRM]
    found = set()
    for group in groups(count, firm)[1:]:
        ties = [(int(shared[a, b]), a, b) for a in group for b in range(count) if b not in group]
        best, a, b = max(ties, key=lambda tie: (tie[0], -tie[1], -tie[2]))
        found.add((min(a, b), max(a, b), best))
    return sorted(found)
