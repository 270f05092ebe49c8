"""Synchronises the cameras of every take and relates each pair by what both saw: what the poses are found from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from fewview.calibration.clocks.sync import Proposal, chain, propose, settle
from fewview.calibration.solve.pairs import relative_poses
from fewview.calibration.solve.viewgraph import Pairs
from fewview.calibration.tracks.identity import Link, join, links_under, match_pair
from fewview.calibration.tracks.tracklets import Track
from fewview.recon.geometry.graph import components

_SEEDS = (0, 1, 2)
_HYPOTHESES = 3
_LEAST = 40
_TIED = 0.3
"""A pair whose best pose explains a smaller share of what both saw is not tied."""
_PROPOSALS = 4
_GIVEN = 10.0
"""Score of an offset that is given: more than any that is found."""


@dataclass(frozen=True)
class Network:
    """Cameras, related pair by pair."""

    offsets_s: Float[np.ndarray, "C T"]
    pairs: Pairs
    links: list[list[Link]]
    """Per take: tracklets of different cameras that are one person."""
    untied: dict[tuple[int, int], str]
    """Pairs without a relative pose, with the reason."""
    twins: dict[int, float]
    """Per camera how much of the best offset's support its second best one has."""


def relate(
    takes: list[list[list[Track]]],
    principal: Float[np.ndarray, "C 2"],
    focal: Float[np.ndarray, " C"],
    given_s: Sequence[Mapping[int, float]],
    max_offset_s: float,
    most: int,
    seed: int,
) -> Network:
    """See `Network`.

    Args:
        takes: tracklets by take and camera.
        given_s: per take the offsets that are known, by camera.
    """
    cameras = len(principal)
    offsets = np.zeros((cameras, len(takes)))
    clock = np.zeros((cameras, len(takes)), int)
    twins: dict[int, float] = {}
    for number, tracks in enumerate(takes):
        tracks = [group[:most] for group in tracks]
        offsets[:, number], clock[:, number], found = _synchronise(
            tracks, principal, focal, given_s[number], max_offset_s, seed
        )
        for camera, share in found.items():
            twins[camera] = max(share, twins.get(camera, 0.0))
    pairs: Pairs = {}
    untied: dict[tuple[int, int], str] = {}
    links: list[list[Link]] = [[] for _ in takes]
    for i, j in combinations(range(cameras), 2):
        f = (float(focal[i]), float(focal[j]))
        centre = (principal[i], principal[j])
        matches = [
            match_pair(tracks[i][:most], tracks[j][:most], float(offsets[j, n] - offsets[i, n]), centre, f, seed)
            if clock[i, n] == clock[j, n]
            else []
            for n, tracks in enumerate(takes)
        ]
        parts = [c for found in matches for *_, c in found]
        if sum(len(c) for c in parts) < _LEAST:
            apart = (clock[i] != clock[j]).all()
            untied[i, j] = "they have no common time" if apart else "they never see one person at one time"
            continue
        whole = join(parts)
        poses = relative_poses(whole, f, tuple(seed + s for s in _SEEDS), _HYPOTHESES)
        if not poses or poses[0].inliers < _TIED:
            best = poses[0].inliers if poses else 0.0
            untied[i, j] = f"no pose of the two explains what both saw (best {100 * best:.0f} % of joints)"
            continue
        pairs[i, j] = poses
        for n, matched in enumerate(matches):
            links[n] += links_under(poses[0], matched, f)
    return Network(offsets, pairs, links, untied, twins)


def connected(cameras: int, pairs: Pairs) -> Bool[np.ndarray, " C"]:
    """The largest set of cameras that pairs tie together; of equals, that with the first camera."""
    part = components(cameras, np.array(list(pairs), np.int64).reshape(-1, 2))
    labels, counts = np.unique(part, return_counts=True)
    best = max(labels.tolist(), key=lambda label: (counts[labels == label][0], -int(np.argmax(part == label))))
    return part == best


def _synchronise(
    tracks: list[list[Track]], principal: np.ndarray, focal: np.ndarray, given_s: Mapping[int, float],
    max_offset_s: float, seed: int,
) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:  # fmt: skip
    """Offsets; a label per camera that is the same where clocks could be related; and `Network.twins`."""
    cameras = len(tracks)
    proposals: dict[tuple[int, int], list[Proposal]] = {}
    for i, j in combinations(range(cameras), 2):
        if i in given_s and j in given_s:
            proposals[i, j] = [Proposal(given_s[j] - given_s[i], _GIVEN, 1.0)]
            continue
        candidates = propose(tracks[i], tracks[j], max_offset_s)[:_PROPOSALS]
        if candidates:
            f = (float(focal[i]), float(focal[j]))
            proposals[i, j] = settle(candidates, (principal[i], principal[j]), f, seed)
    label = components(cameras, np.array(list(proposals), np.int64).reshape(-1, 2))
    if not proposals:
        return np.zeros(cameras), label, {}
    offsets = chain(cameras, proposals, seed)
    twins = _twins(offsets, proposals)
    if given_s:
        anchor = min(given_s)
        offsets = offsets + given_s[anchor] - offsets[anchor]
        for camera, value in given_s.items():
            offsets[camera] = value
    return offsets, label, twins


def _twins(offsets: np.ndarray, proposals: dict[tuple[int, int], list[Proposal]]) -> dict[int, float]:
    shares: dict[int, list[float]] = {}
    for (i, j), options in proposals.items():
        lag = offsets[j] - offsets[i]
        near = [p.score for p in options if abs(p.lag_s - lag) < 0.1]
        far = [p.score for p in options if abs(p.lag_s - lag) >= 0.1]
        if near and max(near) > 0:
            for camera in (i, j):
                shares.setdefault(camera, []).append(max(far, default=0.0) / max(near))
    return {camera: float(np.median(values)) for camera, values in shares.items()}
