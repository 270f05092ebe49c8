"""Pairwise pointmaps, as DUSt3R and its kin predict them; how their photos lie to each other, and which are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from fewview.recon.geometry.fit import fit_sim3_robustly
from fewview.recon.geometry.pose import Sim3
from fewview.recon.pointmaps.maps import Pointmap

_CLOSES = 0.15
"""Share of the depth by which points may miss themselves after a journey around two or three photos."""


@dataclass(frozen=True)
class PointmapPair:
    """Two photos' surfaces in the frame of the first one's camera, at a scale of their own."""

    i: int
    j: int
    map_i: Pointmap
    map_j: Pointmap
    """What photo j shows, also in the frame of camera i."""

    @property
    def score(self) -> float:
        """Worth of the pair, as in DUSt3R: the product of its maps' mean weights."""
        return self.map_i.score * self.map_j.score

    def seen_by(self, view: int) -> Pointmap:
        """The map of the photo `view`, which is i or j."""
        return self.map_i if view == self.i else self.map_j


@dataclass(frozen=True)
class Tie:
    """What a pair says of its photos, in terms of each photo's own map (see `own_maps`)."""

    pair: PointmapPair
    to_first: Sim3
    """From the frame of the pair to that of the first photo's own map: nearly a change of scale."""
    second_to_first: Sim3
    """From the frame of the second photo's own map to that of the first's."""


def own_maps(pairs: Sequence[PointmapPair], names: Sequence[str]) -> list[Pointmap]:
    """Of each photo the map in its own camera's frame that the most certain pair has.

    Raises:
        ValueError: a photo is the first of no pair.
    """
    best: dict[int, PointmapPair] = {}
    for pair in pairs:
        if pair.i not in best or pair.score > best[pair.i].score:
            best[pair.i] = pair
    for view, name in enumerate(names):
        if view not in best:
            raise ValueError(f"{name} is the first of no pair")
    return [best[view].map_i for view in range(len(names))]


def tie(pair: PointmapPair, own: Sequence[Pointmap]) -> Tie:
    """Raises ValueError where the pair and the own maps share fewer than 3 points."""
    to_first = _fit(pair.map_i, own[pair.i])
    return Tie(pair, to_first, to_first @ _fit(own[pair.j], pair.map_j))


def consistent(ties: Sequence[Tie], own: Sequence[Pointmap]) -> list[Tie]:
    """Without the pairs that most journeys around two or three photos show to be wrong; the worst goes first."""
    by_photos = {(one.pair.i, one.pair.j): k for k, one in enumerate(ties)}
    journeys = [(steps, _closes(steps, ties, own)) for steps in _journeys(by_photos)]
    stays = set(range(len(ties)))
    while True:
        failures = {}
        for k in sorted(stays):
            mine = [closes for steps, closes in journeys if k in steps and stays.issuperset(steps)]
            if mine and (share := 1 - sum(mine) / len(mine)) > 0.5:
                failures[k] = (share, -ties[k].pair.score)
        if not failures:
            return [ties[k] for k in sorted(stays)]
        stays.remove(max(failures, key=lambda k: (*failures[k], k)))


def _fit(source: Pointmap, target: Pointmap) -> Sim3:
    weights = np.sqrt(source.weights * target.weights).ravel()
    return fit_sim3_robustly(source.points.reshape(-1, 3), target.points.reshape(-1, 3), weights)


def _journeys(by_photos: Mapping[tuple[int, int], int]) -> list[tuple[int, ...]]:
    """Closed journeys over ties, by number: both ways between two photos, and around three."""
    neighbours: dict[int, set[int]] = {}
    for i, j in by_photos:
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    found = [(k, by_photos[j, i]) for (i, j), k in by_photos.items() if i < j and (j, i) in by_photos]
    around: list[tuple[int, ...]] = list(found)
    for i in sorted(neighbours):
        later = sorted(j for j in neighbours[i] if j > i)
        for j, k in combinations(later, 2):
            if k in neighbours[j]:
                sides = [
                    [by_photos[e] for e in ((a, b), (b, a)) if e in by_photos] for a, b in ((i, j), (j, k), (k, i))
                ]
                around += list(product(*sides))
    return around


def _closes(steps: tuple[int, ...], ties: Sequence[Tie], own: Sequence[Pointmap]) -> bool:
    start = at = ties[steps[0]].pair.i if len(steps) == 2 else _common(ties[steps[0]], ties[steps[-1]])
    points = own[start].points[own[start].weights > 0]
    moved = points
    for k in steps:
        pair = ties[k].pair
        # Frames: from the photo where the journey is to the other one of the tie.
        move = ties[k].second_to_first if at == pair.j else ties[k].second_to_first.inverse()
        moved, at = move(moved), pair.i if at == pair.j else pair.j
    miss = np.median(np.linalg.norm(moved - points, axis=1))
    return bool(miss < _CLOSES * np.median(np.linalg.norm(points, axis=1)))


def _common(first: Tie, last: Tie) -> int:
    return next(iter({first.pair.i, first.pair.j} & {last.pair.i, last.pair.j}))
