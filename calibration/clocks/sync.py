"""Time offsets between cameras from people's motion, settled by geometry.

How fast joints move looks alike from all sides, so its correlation proposes offsets. Dance and gait repeat, so the
highest peak may be a period away: the proposal under which the two cameras' joints obey one epipolar geometry wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.calibration.solve.pairs import BODY_THRESHOLD, PIXEL_THRESHOLD, Correspondences, relative_poses
from fewview.calibration.tracks.tracklets import Track

RATE = 60.0
"""Samples a second at most."""
_STILL = 0.02
"""Speeds below this many body heights a second are noise."""
_PEAKS = 4
_PEAK_DISTANCE_S = 0.2
_MIN_OVERLAP_S = 1.0
_STEPS_S = (0.067, 0.033)
"""Proposals are tried this much earlier and later, in turn."""
_PROMISING = 0.7
"""Proposals with less than this share of the best one's support are not refined."""
_SYNC_CORRESPONDENCES = 240
_TREES = 200


@dataclass(frozen=True)
class Proposal:
    """Camera b's clock + lag = camera a's clock."""

    lag_s: float
    score: float
    """Share of correspondences that obey one epipolar geometry, times how much common time there is."""
    correlation: float


def speed_signal(track: Track) -> Float[np.ndarray, "N J"]:
    """Logarithm of the speed of every joint in body heights a second, smoothed, each joint's mean removed; NaN where
    unseen."""
    size = _size(track)
    speed = np.linalg.norm(track.velocity, axis=2) / size[:, None]
    s = np.log(speed + _STILL)
    s[track.confidence <= 0] = np.nan
    s = _box(s, 5)
    seen = np.isfinite(s)
    return s - np.where(seen, s, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)


def propose(a: list[Track], b: list[Track], max_lag_s: float) -> list[tuple[float, float, Track, Track]]:
    """(correlation, lag, track, track) at the highest peaks over all pairs of tracks, best first."""
    found = []
    signals = {id(track): speed_signal(track) for track in (*a, *b)}
    for x in a:
        for y in b:
            found += [(c, lag, x, y) for c, lag in _peaks(x, y, signals[id(x)], signals[id(y)], max_lag_s)]
    return sorted(found, key=lambda p: -p[0])


def _peaks(x: Track, y: Track, of_x: np.ndarray, of_y: np.ndarray, max_lag_s: float) -> list[tuple[float, float]]:
    rate = x.rate
    r, shared = _correlate(of_x, of_y)
    lags = (np.arange(len(r)) - (len(y.xy) - 1)) / rate + x.start_s - y.start_s
    r = np.where((shared >= _MIN_OVERLAP_S * rate) & (np.abs(lags) <= max_lag_s), r, -1.0)
    # Short overlaps correlate by chance: Fisher's z over its deviation would favour length alone, its root is between.
    strength = r * np.sqrt(shared / max(shared.max(), 1)) ** 0.5
    peaks: list[tuple[float, float]] = []
    reach = round(_PEAK_DISTANCE_S * rate)
    while len(peaks) < _PEAKS:
        i = int(np.argmax(strength))
        if strength[i] <= 0:
            break
        peaks.append((float(strength[i]), float(lags[i])))
        strength[max(0, i - reach) : i + reach + 1] = -1
    return peaks


def _correlate(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised cross-correlation with gaps over all lags (Padfield 2012), pooled over joints, and the number of
    shared samples per joint."""
    n = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    ma, mb = np.isfinite(a), np.isfinite(b)
    a, b = np.where(ma, a, 0), np.where(mb, b, 0)
    fa = {k: np.fft.rfft(v, n, axis=0) for k, v in {"m": ma.astype(float), "s": a, "q": a * a}.items()}
    fb = {k: np.fft.rfft(v[::-1], n, axis=0) for k, v in {"m": mb.astype(float), "s": b, "q": b * b}.items()}
    size = len(a) + len(b) - 1

    def over(x: str, y: str) -> np.ndarray:
        return np.fft.irfft((fa[x] * fb[y]).sum(axis=1), n)[:size]

    count = np.maximum(over("m", "m"), 1e-9)
    sa, sb = over("s", "m"), over("m", "s")
    covariance = over("s", "s") - sa * sb / count
    variance = (over("q", "m") - sa**2 / count) * (over("m", "q") - sb**2 / count)
    joints = max(int((ma.any(axis=0) & mb.any(axis=0)).sum()), 1)
    r = np.where(variance > 1e-9, covariance / np.sqrt(np.maximum(variance, 1e-9)), 0)
    return r, np.round(count) / joints


def correspond(
    x: Track, y: Track, lag_s: float, principal: tuple[np.ndarray, np.ndarray], count: int
) -> Correspondences:
    """Joints seen by both at the same time, the most certain ones of every stretch of time."""
    start = max(x.start_s, y.start_s + lag_s)
    stop = min(x.stop_s, y.stop_s + lag_s)
    instants = np.linspace(start, max(stop, start), 6 * max(8, count // x.xy.shape[1]))
    if stop <= start:
        instants = instants[:0]
    xa, _, ca = x.at(instants)
    xb, _, cb = y.at(instants - lag_s)
    weight = np.sqrt(ca * cb)
    ta = _threshold(xa, ca)
    tb = _threshold(xb, cb)
    chosen = _best_of_bins(weight, count)
    k, j = np.nonzero(chosen)
    return Correspondences(xa[k, j] - principal[0], xb[k, j] - principal[1], weight[k, j], ta[k], tb[k])


def _best_of_bins(weight: np.ndarray, count: int) -> np.ndarray:
    """Of (K, J) weights the best per joint and bin of time, so that `count` are taken where all are seen."""
    K, J = weight.shape
    bins = max(1, count // J)
    chosen = np.zeros((K, J), bool)
    if K == 0:
        return chosen
    label = np.arange(K) * bins // K
    for b in range(bins):
        rows = np.flatnonzero(label == b)
        if len(rows):
            best = rows[np.argmax(weight[rows], axis=0)]
            chosen[best, np.arange(J)] = True
    return chosen & (weight > 0.2)


def settle(
    candidates: list[tuple[float, float, Track, Track]],
    principal: tuple[np.ndarray, np.ndarray],
    focal: tuple[float, float],
    seed: int,
) -> list[Proposal]:
    """Proposals with their epipolar support; the promising ones are moved to where it is best nearby."""

    def score(x: Track, y: Track, lag: float) -> float:
        c = correspond(x, y, lag, principal, _SYNC_CORRESPONDENCES)
        poses = relative_poses(c, focal, (seed,), 1)
        enough = min(1.0, len(c) / (0.5 * _SYNC_CORRESPONDENCES))
        return poses[0].inliers * enough if poses else 0.0

    first = [score(x, y, lag) for _, lag, x, y in candidates]
    settled = []
    for (correlation, lag, x, y), support in zip(candidates, first, strict=True):
        best = (support, lag)
        if support > _PROMISING * max(first):
            for step in _STEPS_S:
                centre = best[1]
                for near in (centre - step, centre + step):
                    best = max(best, (score(x, y, near), near))
        settled.append(Proposal(best[1], best[0], correlation))
    return settled


def chain(cameras: int, proposals: dict[tuple[int, int], list[Proposal]], seed: int) -> Float[np.ndarray, " C"]:
    """Offsets; the first camera of each connected part has 0.

    Random spanning trees of random proposals are scored by how many other pairs have a proposal that agrees; the best
    tree's offsets are refined by robust least squares over the agreeing proposals.
    """
    random = np.random.default_rng(seed)
    edges = sorted(proposals)
    best_score, best = -1.0, np.zeros(cameras)
    for _ in range(_TREES):
        offsets = _random_tree(cameras, edges, proposals, random)
        score = 0.0
        for i, j in edges:
            w = np.array([p.score for p in proposals[i, j]])
            # b + lag = a on the clocks, and o_a + a = o_b + b: so lag = o_b - o_a.
            d = np.array([p.lag_s - (offsets[j] - offsets[i]) for p in proposals[i, j]])
            score += float((w**2 * np.exp(-((d / 0.05) ** 2))).max())
        if score > best_score:
            best_score, best = score, offsets
    return _refine(cameras, edges, proposals, best)


def _random_tree(
    cameras: int,
    edges: list[tuple[int, int]],
    proposals: dict[tuple[int, int], list[Proposal]],
    random: np.random.Generator,
) -> np.ndarray:
    weight = np.array([max(p.score for p in proposals[e]) for e in edges])
    order = np.argsort(-np.log(random.uniform(1e-12, 1, len(edges))) / np.maximum(weight, 1e-6) ** 6)
    offsets = np.zeros(cameras)
    part = np.arange(cameras)
    for e in order:
        i, j = edges[e]
        if part[i] == part[j]:
            continue
        options = proposals[i, j]
        share = np.array([p.score for p in options]) ** 6
        pick = options[int(random.choice(len(options), p=share / share.sum()))] if share.sum() > 0 else options[0]
        members = part == part[j]
        offsets[members] += offsets[i] + pick.lag_s - offsets[j]
        part[members] = part[i]
    for label in np.unique(part):
        members = part == label
        offsets[members] -= offsets[np.flatnonzero(members)[0]]
    return offsets


def _refine(
    cameras: int, edges: list[tuple[int, int]], proposals: dict[tuple[int, int], list[Proposal]], offsets: np.ndarray
) -> np.ndarray:
    for _ in range(10):
        A, b, w = [], [], []
        for i, j in edges:
            now = offsets[j] - offsets[i]
            p = min(proposals[i, j], key=lambda p: abs(p.lag_s - now))
            row = np.zeros(cameras)
            row[j], row[i] = 1, -1
            A.append(row)
            b.append(p.lag_s)
            w.append(p.score**2 / (1 + ((p.lag_s - now) / 0.05) ** 2) ** 2)
        root = np.sqrt(np.array(w))[:, None]
        free = np.arange(1, cameras)
        held = 1e-6 * np.eye(cameras)[free]
        rows = np.vstack([root * np.array(A), held])
        values = np.concatenate([root[:, 0] * np.array(b), 1e-6 * offsets[free]])
        solved = np.linalg.lstsq(rows[:, free], values - rows[:, 0] * offsets[0], rcond=None)[0]
        offsets = np.concatenate([offsets[:1], solved])
    return offsets


def _threshold(xy: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    inside = np.where(confidence[..., None] > 0, xy, np.nan)
    inside[~(confidence > 0).any(axis=1)] = 0
    extent = (np.nanmax(inside, axis=1) - np.nanmin(inside, axis=1)).max(axis=1) if len(xy) else np.zeros(0)
    return np.maximum(PIXEL_THRESHOLD, BODY_THRESHOLD * extent)


def _size(track: Track) -> np.ndarray:
    """Body height in pixels, over a second."""
    extent = _threshold(track.xy, track.confidence) / BODY_THRESHOLD
    return _box(extent[:, None], max(1, round(track.rate)))[:, 0]


def _box(values: np.ndarray, width: int) -> np.ndarray:
    """Running mean over axis 0 of what is finite; NaN where the middle is."""
    kernel = np.ones(width)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0)
    out = np.empty_like(filled)
    for column in range(values.shape[1]):
        total = np.convolve(filled[:, column], kernel, "same") if len(values) >= width else filled[:, column]
        count = np.convolve(finite[:, column], kernel, "same") if len(values) >= width else finite[:, column]
        out[:, column] = total / np.maximum(count, 1e-9)
    out[~finite] = np.nan
    return out
