"""Who is who: tracklets of different cameras that are one person, by epipolar geometry."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from fewview.calibration.clocks.sync import correspond
from fewview.calibration.solve.bundle import State
from fewview.calibration.solve.lens import Lenses, normalise
from fewview.calibration.solve.pairs import Correspondences, RelativePose, relative_poses, support
from fewview.calibration.tracks.sampling import Person, shared_view
from fewview.calibration.tracks.tracklets import Track

_MATCHED = 0.35
"""Tracklets of one person agree with the geometry in at least this share of their joints; of different people, in
about a tenth to a third."""
_SLACK = 2.0
"""Under known cameras thresholds are this much wider: the cameras were not fitted to these two tracklets alone."""
_CORRESPONDENCES = 600
_LEAST = 40
"""Correspondences; fewer say nothing of identity."""

Link = tuple[float, Track, Track]
"""Share of agreement times correspondences, and two tracklets of different cameras."""


def match_pair(
    a: list[Track],
    b: list[Track],
    lag_s: float,
    principal: tuple[np.ndarray, np.ndarray],
    focal: tuple[float, float],
    seed: int,
) -> list[tuple[Track, Track, Correspondences]]:
    """Which tracklets of two cameras are one person, where the cameras' poses are not known yet.

    The joints of every pair of tracklets propose a relative pose; that under which most of all joints agree, each
    tracklet matched once, tells the matches.
    """
    table = _table(a, b, lag_s, principal)
    if len(table) == 1:
        ((i, j), c) = next(iter(table.items()))
        return [(a[i], b[j], c)]
    best: tuple[float, list[tuple[int, int]]] = (0.0, [])
    for c in table.values():
        for pose in relative_poses(c, focal, (seed,), 1):
            best = max(best, _assign(pose, table, focal, len(a), len(b)), key=lambda found: found[0])
    return [(a[i], b[j], table[i, j]) for i, j in best[1]]


def links_under(
    pose: RelativePose, matches: list[tuple[Track, Track, Correspondences]], focal: tuple[float, float]
) -> list[Link]:
    """The matches that agree with a pose."""
    shares = [(support(pose.R, pose.t, c, focal), len(c), x, y) for x, y, c in matches]
    return [(share * count, x, y) for share, count, x, y in shares if share > _MATCHED]


def match_known(tracks: list[list[Track]], state: State, take: int) -> list[Link]:
    """Links between tracklets under known cameras."""
    lenses = state.lenses
    straight = [[_straighten(track, lenses) for track in group] for group in tracks]
    links: list[Link] = []
    for i, j in combinations(range(len(tracks)), 2):
        R = state.R[j] @ state.R[i].T
        t = state.t[j] - R @ state.t[i]
        if np.linalg.norm(t) == 0:
            continue
        pose = RelativePose(R, t / np.linalg.norm(t), 1.0)
        lag = float(state.offsets_s[j, take] - state.offsets_s[i, take])
        table = {
            key: replace(c, threshold_a=_SLACK * c.threshold_a, threshold_b=_SLACK * c.threshold_b)
            for key, c in _table(straight[i], straight[j], lag, (lenses.principal[i], lenses.principal[j])).items()
        }
        focal = (float(lenses.focal[i].mean()), float(lenses.focal[j].mean()))
        _, matched = _assign(pose, table, focal, len(tracks[i]), len(tracks[j]))
        links += [
            (support(R, pose.t, table[x, y], focal) * len(table[x, y]), tracks[i][x], tracks[j][y]) for x, y in matched
        ]
    return links


def _straighten(track: Track, lenses: Lenses) -> Track:
    """As an undistorted camera of the same mean focal length would see it."""
    uv = normalise(lenses, np.array(track.camera), track.xy)
    xy = uv * lenses.focal[track.camera].mean() + lenses.principal[track.camera]
    return replace(track, xy=xy)


def gather_people(tracks: list[list[Track]], links: list[Link], most: int) -> list[Person]:
    """People seen by at least two cameras, the most seen first.

    Links join tracklets, the strongest first; a link that would put one person in two places of one camera at once is
    refused.
    """
    everyone = [track for group in tracks for track in group]
    group_of = {id(track): [track] for track in everyone}
    for _, x, y in sorted(links, key=lambda link: -link[0]):
        a, b = group_of[id(x)], group_of[id(y)]
        if a is b or any(_overlap(p, q) for p in a for q in b):
            continue
        a += b
        for track in b:
            group_of[id(track)] = a
    people = []
    for group in {id(group): group for group in group_of.values()}.values():
        person: Person = {}
        for track in sorted(group, key=lambda t: (t.camera, t.start_s)):
            person.setdefault(track.camera, []).append(track)
        if len(person) >= 2:
            people.append(person)
    people.sort(key=lambda person: -shared_view(person))
    return people[:most]


def _overlap(a: Track, b: Track) -> bool:
    return a.camera == b.camera and a.start_s <= b.stop_s and b.start_s <= a.stop_s


def _assign(
    pose: RelativePose,
    table: dict[tuple[int, int], Correspondences],
    focal: tuple[float, float],
    rows: int,
    columns: int,
) -> tuple[float, list[tuple[int, int]]]:
    gain = np.zeros((rows, columns))
    for (i, j), c in table.items():
        share = support(pose.R, pose.t, c, focal)
        gain[i, j] = share * len(c) if share > _MATCHED else 0.0
    pairs = [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(-gain), strict=True) if gain[i, j] > 0]
    return float(sum(gain[pair] for pair in pairs)), pairs


def _table(
    a: list[Track], b: list[Track], lag_s: float, principal: tuple[np.ndarray, np.ndarray]
) -> dict[tuple[int, int], Correspondences]:
    return {
        (i, j): c
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if len(c := correspond(x, y, lag_s, principal, _CORRESPONDENCES)) >= _LEAST
    }


def join(parts: list[Correspondences]) -> Correspondences:
    """All of them; at most as many as one pair of tracklets gives, evenly thinned."""
    names = ("a", "b", "weight", "threshold_a", "threshold_b")
    whole = Correspondences(*(np.concatenate([getattr(c, name) for c in parts]) for name in names))
    if len(whole) <= _CORRESPONDENCES:
        return whole
    return whole.only(np.linspace(0, len(whole) - 1, _CORRESPONDENCES).astype(int))
