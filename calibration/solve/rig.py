"""The cameras of a rig from tracklets: starts, choice by held-out cost, refinement, and what had to be left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from fewview.calibration.clocks.sync import RATE
from fewview.calibration.observations import Detections
from fewview.calibration.solve.bones import bones
from fewview.calibration.solve.bundle import POSE, Bones, Prior, State
from fewview.calibration.solve.degenerate import degeneracies
from fewview.calibration.solve.initial import first_state
from fewview.calibration.solve.lens import Lenses
from fewview.calibration.solve.network import Network, connected, relate
from fewview.calibration.solve.refine import default_focal, fine, held_out_cost, make_prior, rough
from fewview.calibration.solve.triangulation import triangulate_poses
from fewview.calibration.solve.viewgraph import average_rotations
from fewview.calibration.tracks.bystanders import in_scene
from fewview.calibration.tracks.identity import gather_people, match_known
from fewview.calibration.tracks.sample import Sample
from fewview.calibration.tracks.sampling import Person, sample
from fewview.calibration.tracks.sides import mirror_of
from fewview.calibration.tracks.spans import choose_clip
from fewview.calibration.tracks.tracklets import MIN_CONFIDENCE, Track, follow
from fewview.calibration.world.frames import moved_to_known
from fewview.recon.errors import ReconstructionError
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera, View

_STARTS = 3
_ROUGH_POSES = 40
_LOST = 0.75
"""A camera is lost where its held-out cost is this share of what an unrelated camera's would be..."""
_WORSE = 1.3
"""... and this many times that of the others."""
_UNRELATED = 0.5 * 3.0**2


class Budget(Protocol):
    """What `CalibrationConfig` says of it."""

    @property
    def same_cameras(self) -> bool: ...
    @property
    def offsets_s(self) -> tuple[Mapping[str, float], ...]: ...
    @property
    def max_offset_s(self) -> float: ...
    @property
    def max_people(self) -> int: ...
    @property
    def poses(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Solution:
    """Cameras in a frame and unit of their own."""

    cameras: list[int]
    """Those that were placed, by number in the input."""
    state: State
    """Of those, with the points of `sample`."""
    sample: Sample
    joints: Int[np.ndarray, " J"]
    """Which of `JOINTS` were seen at all; points and sample have these."""
    unplaced: dict[str, str]
    facts: dict[str, object] = field(default_factory=dict)


def solve(
    takes: Sequence[Sequence[Detections]],
    config: Budget,
    progress: Progress,
    known: Mapping[str, Camera | View],
) -> Solution:
    """Raises ReconstructionError where no two cameras can be tied."""
    names = [d.camera for d in takes[0]]
    spans = [choose_clip(take) for take in takes]
    joints = _seen_joints(takes, spans)
    tracks = []
    for take, cut in zip(takes, spans, strict=True):
        rate = min(RATE, max(d.fps for d in take))
        tracks.append([follow(d, c, span, joints, rate) for c, (d, span) in enumerate(zip(take, cut, strict=True))])
    cameras = list(range(len(names)))
    unplaced: dict[str, str] = {}
    for camera in cameras:
        if not any(take[camera] for take in tracks):
            unplaced[names[camera]] = "it follows nobody for longer than a moment"
    cameras = [c for c in cameras if names[c] not in unplaced]
    while len(cameras) >= 2:
        subset = [[_renumber(take[c], i) for i, c in enumerate(cameras)] for take in tracks]
        found = _attempt([[take[c] for c in cameras] for take in takes], subset, joints, config, progress, known)
        if isinstance(found, Solution):
            placed = [cameras[i] for i in found.cameras]
            return replace(found, cameras=placed, unplaced={**unplaced, **found.unplaced})
        for number, reason in found.items():
            unplaced[names[cameras[number]]] = reason
            progress.note(f"camera {names[cameras[number]]} is left out: {reason}")
        cameras = [c for i, c in enumerate(cameras) if i not in found]
    raise ReconstructionError(
        "No two cameras could be tied together by the people they saw. "
        + " ".join(f"{name}: {reason}." for name, reason in sorted(unplaced.items())),
        "Record people moving about in the view of all cameras at once, or give the time offsets.",
    )


def _attempt(
    takes: Sequence[Sequence[Detections]],
    tracks: list[list[list[Track]]],
    joints: np.ndarray,
    config: Budget,
    progress: Progress,
    known: Mapping[str, Camera | View],
) -> Solution | dict[int, str]:
    """A solution for all cameras, or those that must go, with the reason."""
    names = [d.camera for d in takes[0]]
    lenses, known_lens = _first_lenses(takes[0], known)
    given = _given_offsets(names, config.offsets_s) or [{} for _ in takes]
    progress.note("synchronising and relating pairs of cameras")
    focal = lenses.focal.mean(axis=1)
    network = relate(tracks, lenses.principal, focal, given, config.max_offset_s, config.max_people, config.seed)
    loose = _untied(names, network)
    if loose:
        return loose
    skeleton = bones(joints)
    prior = make_prior(lenses, len(takes), config.same_cameras, known_lens, _fixed_clocks(len(names), given))
    people = [
        gather_people(group, links, config.max_people) for group, links in zip(tracks, network.links, strict=True)
    ]
    few = sample(people, network.offsets_s, _ROUGH_POSES)
    start, costs = _best_start(lenses, network, few, skeleton, prior, config.seed)
    if start is None:
        return {i: "no pair of cameras sees enough of a body at once" for i in range(len(names))}
    poses = {i: e.T_world_camera for i, n in enumerate(names) if isinstance(e := known.get(n), View)}
    start, prior = _held_to_known(start, prior, poses)
    # Who is who again: calibrated cameras also match tracklets that were too short to tell before.
    people = [
        gather_people(group, match_known(group, start, n) + network.links[n], config.max_people)
        for n, group in enumerate(tracks)
    ]
    people = _without_bystanders(people, start, config.poses)
    many = sample(people, start.offsets_s, config.poses * len(takes))
    progress.note("bundle adjustment")
    start = replace(start, points=np.zeros((many.weight.shape[1], len(joints), 3)))
    state, adjusted, swaps = fine(start, many, prior, skeleton, mirror_of(joints))
    held_out = held_out_cost(state, replace(adjusted, sigma=many.sigma))
    gone = _lost(held_out, sorted(poses))
    if gone is not None:
        return {gone: "what it saw contradicts all other cameras: it may be another recording, or have moved"}
    twins = {names[c]: share for c, share in network.twins.items()}
    facts: dict[str, object] = {
        "held_out_cost": {name: float(c) for name, c in zip(names, held_out, strict=True)},
        "start_costs": costs,
        "left_right_swaps": swaps,
        "people": [len(group) for group in people],
        "untied_pairs": {f"{names[i]} {names[j]}": why for (i, j), why in sorted(network.untied.items())},
        "degeneracies": degeneracies(state, adjusted, known_lens, twins),
    }
    return Solution(list(range(len(names))), state, adjusted, joints, {}, facts)


def _without_bystanders(people: list[list[Person]], state: State, poses: int) -> list[list[Person]]:
    """Of every take the people who are in the scene."""
    kept = []
    for number, group in enumerate(people):
        if len(group) > 1:
            alone = [group if k == number else [] for k in range(len(people))]
            few = sample(alone, state.offsets_s, poses)
            points = triangulate_poses(state, few.xy, few.weight, few.sigma)
            group = list(compress(group, in_scene(state, [points[few.person == k] for k in range(len(group))])))
        kept.append(group)
    return kept


def _given_offsets(names: Sequence[str], offsets_s: Sequence[Mapping[str, float]]) -> list[dict[int, float]]:
    """The time offsets that the user gave, by number of the camera, of every take."""
    number = {name: i for i, name in enumerate(names)}
    return [{number[name]: value for name, value in take.items() if name in number} for take in offsets_s]


def _fixed_clocks(cameras: int, given: Sequence[Mapping[int, float]]) -> Bool[np.ndarray, "C T"]:
    """Given offsets stay; where a take has none, its first camera's clock is the common time."""
    return np.array([[c in g or (c == 0 and not g) for g in given] for c in range(cameras)])


def _untied(names: list[str], network: Network) -> dict[int, str]:
    """The cameras that nothing ties to the largest group, with the reason; all where that is a single one."""
    tied = connected(len(names), network.pairs)
    if tied.all():
        return {}
    loose = np.flatnonzero(~tied if tied.sum() > 1 else np.ones_like(tied))
    return {int(i): _why_untied(int(i), names, network) for i in loose}


def _best_start(
    lenses: Lenses, network: Network, few: Sample, skeleton: Bones, prior: Prior, seed: int
) -> tuple[State | None, list[float]]:
    """Of several arrangements of all cameras, roughly adjusted, that of least cost; and the costs of all."""
    best: State | None = None
    costs: list[float] = []
    for rotations in average_rotations(list(range(len(lenses.size))), network.pairs, seed, _STARTS):
        start = first_state(lenses, rotations, few, skeleton)
        if start is None:
            continue
        state, cost = rough(start, few, prior)
        if cost < min(costs, default=np.inf):
            best = state
        costs.append(cost)
    return best, costs


def _held_to_known(state: State, prior: Prior, poses: Mapping[int, Float[np.ndarray, "4 4"]]) -> tuple[State, Prior]:
    """Two known poses or more set the world, and stay."""
    if len(poses) < 2:
        return state, prior
    fixed = prior.fixed.copy()
    fixed[sorted(poses), POSE] = True
    return moved_to_known(state, poses), replace(prior, fixed=fixed)


def _lost(held_out: np.ndarray, known: list[int]) -> int | None:
    """The camera whose joints the others predict no better than chance, if there is one; known poses are believed."""
    costs = np.nan_to_num(held_out, nan=_UNRELATED)
    others = np.array([np.median(np.delete(costs, i)) for i in range(len(costs))])
    lost = (costs > _LOST * _UNRELATED) & (costs > _WORSE * others)
    lost[known] = False
    return int(np.argmax(np.where(lost, costs, -1))) if lost.any() and len(costs) > 2 else None


def _first_lenses(take: Sequence[Detections], known: Mapping[str, Camera | View]) -> tuple[Lenses, np.ndarray]:
    size = np.array([d.size for d in take])
    C = len(take)
    log_focal, aspect = np.log(default_focal(size)), np.ones(C)
    principal, distortion = size / 2.0, np.zeros((C, 5))
    is_known = np.zeros(C, bool)
    for i, d in enumerate(take):
        entry = known.get(d.camera)
        if entry is None:
            continue
        camera = entry.camera if isinstance(entry, View) else entry
        log_focal[i], aspect[i] = np.log(camera.fx), camera.fy / camera.fx
        principal[i] = camera.cx, camera.cy
        distortion[i, : len(camera.distortion)] = camera.distortion
        is_known[i] = True
    if is_known.any() and not is_known.all():
        # The others are likelier like the known ones than like the default.
        relative = np.mean(log_focal[is_known] - np.log(size[is_known].max(axis=1)))
        log_focal[~is_known] = relative + np.log(size[~is_known].max(axis=1))
    return Lenses(size, log_focal, aspect, principal, distortion), is_known


def _seen_joints(takes: Sequence[Sequence[Detections]], spans: list[list[tuple[int, int]]]) -> np.ndarray:
    seen = np.zeros(takes[0][0].confidence.shape[2], int)
    for take, cut in zip(takes, spans, strict=True):
        for d, (start, stop) in zip(take, cut, strict=True):
            seen += (d.confidence[start:stop] > MIN_CONFIDENCE).any(axis=(0, 1))
    return np.flatnonzero(seen >= 2)


def _renumber(tracks: list[Track], camera: int) -> list[Track]:
    return [replace(track, camera=camera) for track in tracks]


def _why_untied(camera: int, names: list[str], network: Network) -> str:
    untied = [(sorted({i, j} - {camera}), why) for (i, j), why in sorted(network.untied.items()) if camera in (i, j)]
    reasons = [f"with {names[other]} {why}" for (other,), why in untied]
    return "; ".join(reasons) or "the cameras it is tied to are not tied to the others"
