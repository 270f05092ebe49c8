"""The people's motion over the whole common time, from calibrated cameras."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from fewview.calibration.observations import Detections, Motion
from fewview.calibration.skeleton import JOINTS
from fewview.calibration.solve.bundle import State
from fewview.calibration.solve.consensus import consensus
from fewview.calibration.solve.triangulation import triangulate_poses
from fewview.calibration.tracks.bystanders import in_scene
from fewview.calibration.tracks.identity import gather_people, match_known
from fewview.calibration.tracks.sample import Sample, deviation_px
from fewview.calibration.tracks.sampling import Person, gather
from fewview.calibration.tracks.sides import mirror_of, unswap
from fewview.calibration.tracks.smoothing import smooth_motion
from fewview.calibration.tracks.tracklets import follow

CHUNK_S = 60.0
_SHORTEST_S = 0.5
"""People seen for less are not reported."""
_REACH = 0.6
"""A person of one chunk goes on in the next where it stands within this many body sizes."""


def reconstruct(
    take: Sequence[Detections], state: State, number: int, joints: Int[np.ndarray, " J"], most: int
) -> Motion:
    """Motion of take `number`, in the units of `state`, at the highest frame rate of its cameras.

    The cost grows with the length. People are in the order of how much is known of them; bystanders are left out.
    """
    offsets = state.offsets_s[:, number]
    rate = max(d.fps for d in take)
    spans = sorted((float(o), float(o) + len(d.xy) / d.fps) for d, o in zip(take, offsets, strict=True))
    start, stop = spans[1][0], sorted(s[1] for s in spans)[-2]
    T = max(1, int((stop - start) * rate))
    columns: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    supports: list[np.ndarray] = []
    size = max(1, round(CHUNK_S * rate))
    for first in range(0, T, size):
        instants = start + np.arange(first, min(first + size, T)) / rate
        rows = slice(first, first + len(instants))
        for column, xyz, score, support in _chunk(take, state, number, joints, instants, rate, most, columns, first):
            while len(columns) <= column:
                columns.append(np.full((T, len(joints), 3), np.nan))
                scores.append(np.zeros((T, len(joints))))
                supports.append(np.zeros((T, len(joints)), int))
            columns[column][rows], scores[column][rows], supports[column][rows] = xyz, score, support
    return _motion(columns, scores, supports, joints, rate, start, most)


def _chunk(
    take: Sequence[Detections], state: State, number: int, joints: np.ndarray, instants: np.ndarray, rate: float,
    most: int, columns: list[np.ndarray], first: int,
) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:  # fmt: skip
    """Column, points, scores and supports of the people of one chunk."""
    offsets = state.offsets_s[:, number]
    tracks = []
    for camera, (d, offset) in enumerate(zip(take, offsets, strict=True)):
        begin = int(np.clip(np.floor((instants[0] - offset) * d.fps) - 1, 0, len(d.xy)))
        end = int(np.clip(np.ceil((instants[-1] - offset) * d.fps) + 2, 0, len(d.xy)))
        tracks.append(follow(d, camera, (begin, end), joints, rate) if end > begin else [])
    people = gather_people(tracks, match_known(tracks, state, number), most)
    placed = [_triangulate(person, state, number, instants, mirror_of(joints)) for person in people]
    placed = list(compress(placed, in_scene(state, [points for points, *_ in placed])))
    names = _names([p[0] for p in placed], columns, first)
    return [(name, *found) for name, found in zip(names, placed, strict=True)]


def _triangulate(
    person: Person, state: State, number: int, instants: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xy, velocity, weight = gather(person, number, state.offsets_s, instants)
    K, J = weight.shape[1:]
    sample = Sample(
        xy, velocity, weight, deviation_px(xy, weight > 0), state.offsets_s,
        np.full(K, number), np.zeros(K, int), instants,
    )  # fmt: skip
    points = triangulate_poses(state, sample.xy, sample.weight, sample.sigma)
    guess = State(state.lenses, state.R, state.t, state.offsets_s, points)
    sample, count = unswap(guess, sample, mirror)
    if count:
        points = triangulate_poses(state, sample.xy, sample.weight, sample.sigma)
    C = len(state.R)
    score, support = consensus(
        state.lenses, state.R, state.t, points.reshape(-1, 3), sample.xy.reshape(C, -1, 2),
        sample.weight.reshape(C, -1), np.repeat(sample.sigma, J, axis=1),
    )  # fmt: skip
    score, support = score.reshape(K, J), support.reshape(K, J)
    lost = support < 2
    points[lost], score[lost], support[lost] = np.nan, 0, 0
    return points, score, support


def _names(people: list[np.ndarray], columns: list[np.ndarray], first: int) -> list[int]:
    """The column of every person: that of whom stood nearest when the last chunk ended, or a new one."""
    new = len(columns)
    names = [-1] * len(people)
    if columns and people and first > 0:
        before = [_stand(c[max(0, first - 30) : first], last=True) for c in columns]
        after = [_stand(p[:30], last=False) for p in people]
        cost = np.full((len(people), len(columns)), np.inf)
        for i, (place, size) in enumerate(after):
            for j, (old, _) in enumerate(before):
                distance = np.linalg.norm(place - old)
                cost[i, j] = distance / size if np.isfinite(distance) and size > 0 else np.inf
        for i, j in zip(*linear_sum_assignment(np.minimum(cost, 1e3)), strict=True):
            if cost[i, j] < _REACH:
                names[i] = int(j)
    for i, name in enumerate(names):
        if name < 0:
            names[i], new = new, new + 1
    return names


def _stand(xyz: np.ndarray, last: bool) -> tuple[np.ndarray, float]:
    """Where a person is at the end or the beginning of a stretch, and its size."""
    known = np.flatnonzero(np.isfinite(xyz[..., 0]).sum(axis=1) >= 3)
    if not len(known):
        return np.full(3, np.nan), 0.0
    pose = xyz[known[-1 if last else 0]]
    pose = pose[np.isfinite(pose[:, 0])]
    return pose.mean(axis=0), float(np.ptp(pose, axis=0).max())


def _motion(
    columns: list[Float[np.ndarray, "T J 3"]], scores: list[np.ndarray], supports: list[np.ndarray],
    joints: np.ndarray, rate: float, start: float, most: int,
) -> Motion:  # fmt: skip
    known = [np.isfinite(c[..., 0]) for c in columns]
    length = [int(k.any(axis=1).sum()) for k in known]
    order = sorted(range(len(columns)), key=lambda i: -int(known[i].sum()))
    order = [i for i in order if length[i] >= _SHORTEST_S * rate][:most]
    T = len(columns[0]) if columns else 0
    xyz = np.full((T, len(order), len(JOINTS), 3), np.nan)
    score = np.zeros(xyz.shape[:3])
    support = np.zeros(xyz.shape[:3], int)
    for slot, i in enumerate(order):
        xyz[:, slot, joints] = smooth_motion(columns[i], rate)
        score[:, slot, joints] = scores[i]
        support[:, slot, joints] = supports[i]
    return Motion(rate, start, xyz, score, support)
