"""The parts of calibration, each against exact truth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.calibration.clocks.sync import Proposal, chain
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import INDEX, JOINTS, MIRRORED
from fewview.calibration.solve.bones import bones
from fewview.calibration.solve.bundle import Prior, Robust, State, _Problem, residuals
from fewview.calibration.solve.consensus import consensus
from fewview.calibration.solve.lens import Lenses, normalise, project, project_with_derivatives
from fewview.calibration.solve.pairs import RelativePose, angle_deg
from fewview.calibration.solve.triangulation import triangulate
from fewview.calibration.solve.viewgraph import average_rotations, place_centers
from fewview.calibration.tracks.sample import Sample
from fewview.calibration.tracks.smoothing import smooth_motion
from fewview.calibration.tracks.tracklets import link, smooth
from fewview.calibration.world.bodies import ANKLE, body_scale, find_floor
from fewview.data.people import CaptureConfig, Walker, capture, ring
from fewview.recon.scene import View


def _lenses(views: list[View]) -> Lenses:
    return Lenses(
        np.array([(v.camera.width, v.camera.height) for v in views]),
        np.log([v.camera.fx for v in views]),
        np.array([v.camera.fy / v.camera.fx for v in views]),
        np.array([(v.camera.cx, v.camera.cy) for v in views]),
        np.array([v.camera.distortion for v in views]),
    )


def _poses(views: list[View]) -> tuple[np.ndarray, np.ndarray]:
    Ts = np.array([v.T_camera_world for v in views])
    return Ts[:, :3, :3], Ts[:, :3, 3]


@given(st.integers(0, 1000))
def test_projection_is_opencvs_and_inverts(seed: int) -> None:
    random = np.random.default_rng(seed)
    k = random.uniform([-0.3, -0.05, -0.002, -0.002, -0.01], [0.1, 0.05, 0.002, 0.002, 0.01])
    lenses = Lenses(
        np.array([[1920, 1080]]),
        np.log([random.uniform(1000, 2000)]),
        np.array([1.02]),
        np.array([[955.0, 545.0]]),
        k[None],
    )
    X = np.column_stack([random.uniform(-0.45, 0.45, (20, 2)), np.ones(20)]) * random.uniform(1, 9, (20, 1))
    K = np.array([[lenses.focal[0, 0], 0, 955], [0, lenses.focal[0, 1], 545], [0, 0, 1.0]])
    expected = cv2.projectPoints(X, np.zeros(3), np.zeros(3), K, k)[0][:, 0]
    camera = np.zeros(20, int)
    xy = project(lenses, camera, X)
    np.testing.assert_allclose(xy, expected, atol=1e-8)
    np.testing.assert_allclose(normalise(lenses, camera, xy), X[:, :2] / X[:, 2:], atol=2e-4)
    P = project_with_derivatives(lenses, camera, X)
    np.testing.assert_allclose(P.xy, xy)
    for axis in range(3):
        step = np.eye(3)[axis] * 1e-6
        numeric = (project(lenses, camera, X + step) - project(lenses, camera, X - step)) / 2e-6
        np.testing.assert_allclose(P.by_point[..., axis], numeric, rtol=1e-5, atol=1e-3)


def _small_problem() -> tuple[State, Sample, Prior]:
    views = ring(3, 1)
    random = np.random.default_rng(0)
    joints = np.arange(len(JOINTS))
    instants = np.linspace(0, 9, 6)
    points = Walker(1.7, 3).joints(instants)
    R, t = _poses(views)
    lenses = _lenses(views)
    state = State(lenses, R, t, np.zeros((3, 1)), points)
    X = np.einsum("cij,kmj->ckmi", R, points) + t[:, None, None]
    xy = project(lenses, np.arange(3)[:, None, None], X)
    shape = xy.shape[:3]
    sample = Sample(
        xy + random.normal(0, 3, xy.shape), random.normal(0, 200, xy.shape), random.uniform(0.2, 1, shape),
        np.full(shape[:2], 6.0), np.zeros((3, 1)), np.zeros(6, int), np.zeros(6, int), instants,
    )  # fmt: skip
    prior = Prior(
        np.log(np.full(3, 1300.0)), 0.3, 0.07, np.array([0.05, 0.05, 0.01, 0.01, 0.05]), 0.1, np.zeros((3, 13), bool)
    )
    assert len(joints) == points.shape[1]
    return state, sample, prior


def test_gradients_of_bundle_adjustment() -> None:
    state, sample, prior = _small_problem()
    problem = _Problem(sample, prior, None, Robust(2.0, (True, True, True, True)))
    equations = problem.normal_equations(state)
    g_camera, g_point = equations.g, equations.groups[0].g
    random = np.random.default_rng(1)
    for _ in range(8):
        dx = random.normal(0, 1, g_camera.shape) * np.tile([1e-5] * 6 + [1e-5] + [1e-4] * 5 + [1e-5], 3)
        dp = random.normal(0, 1e-5, g_point.shape)
        up = problem.cost(problem.moved(state, dx, [dp]))
        down = problem.cost(problem.moved(state, -dx, [-dp]))
        assert (up - down) / 2 == pytest.approx(float(g_camera @ dx + (g_point * dp).sum()), rel=1e-3, abs=1e-6)


def test_moved_clocks_move_what_was_observed() -> None:
    state, sample, _ = _small_problem()
    later = replace(state, offsets_s=state.offsets_s + 0.01)
    shift = (residuals(later, sample) - residuals(state, sample)) * 6.0
    np.testing.assert_allclose(shift, sample.velocity * 0.01, atol=1e-9)


def test_triangulation_survives_a_wild_view_and_tells_it() -> None:
    views = ring(5, 2)
    points = Walker(1.7, 3).joints(np.linspace(0, 9, 5)).reshape(-1, 3)
    R, t = _poses(views)
    lenses = _lenses(views)
    xy = project(lenses, np.arange(5)[:, None], np.einsum("cij,nj->cni", R, points) + t[:, None])
    random = np.random.default_rng(0)
    wild = random.integers(0, 5, len(points))
    xy[wild, np.arange(len(points))] += 200
    weight, sigma = np.ones(xy.shape[:2]), np.full(xy.shape[:2], 3.0)
    weight[:, 0] = 0
    weight[0, 0] = 1
    found = triangulate(lenses, R, t, xy, weight, sigma)
    assert np.isnan(found[0]).all()
    assert np.linalg.norm(found[1:] - points[1:], axis=1).max() < 5e-3
    score, support = consensus(lenses, R, t, found, xy, weight, sigma)
    assert score[0] == 0
    assert support[0] == 0
    assert (support[1:] == 4).all()
    clean, _ = consensus(lenses, R, t, points, xy * 0 + project(lenses, np.arange(5)[:, None], np.einsum(
        "cij,nj->cni", R, points) + t[:, None]), np.ones_like(weight), sigma)  # fmt: skip
    assert (clean > 0.85).all()
    assert (score[1:] < clean[1:] - 0.2).all()


def test_offsets_by_vote_not_by_the_highest_peak() -> None:
    true = np.array([0.0, 1.25, -0.4, 2.0])
    proposals = {}
    for i in range(4):
        for j in range(i + 1, 4):
            lag = true[j] - true[i]
            proposals[i, j] = [Proposal(lag + 3.0, 0.5, 0.9), Proposal(lag, 0.7, 0.6), Proposal(lag - 3.0, 0.45, 0.5)]
    proposals[0, 3][0] = Proposal(true[3] + 3.0, 0.8, 0.9)
    np.testing.assert_allclose(chain(4, proposals, 0), true, atol=1e-3)


def test_view_graph_outvotes_flipped_pairs() -> None:
    views = ring(6, 3)
    R, _ = _poses(views)
    centers = np.array([v.center for v in views])
    random = np.random.default_rng(0)
    pairs, baseline = {}, {}
    for i in range(6):
        for j in range(i + 1, 6):
            jitter = Rotation.from_rotvec(random.normal(0, 0.01, 3)).as_matrix()
            relative = jitter @ R[j] @ R[i].T
            step = R[j] @ (centers[i] - centers[j])
            true = RelativePose(relative, step / np.linalg.norm(step), 0.7)
            flipped = RelativePose(Rotation.random(rng=random).as_matrix(), -true.t, 0.8)
            pairs[i, j] = [flipped, true] if (i + j) % 3 == 0 else [true]
            baseline[i, j] = float(np.linalg.norm(step)) * random.uniform(0.95, 1.05)
    best = average_rotations(list(range(6)), pairs, 0, 2)[0]
    for i in range(1, 6):
        assert angle_deg(best.R[i] @ best.R[0].T @ (R[i] @ R[0].T).T) < 1.5
    found = place_centers(best.R, best.chosen, {pair: baseline[pair] for pair in best.chosen})
    turn = best.R[0].T @ R[0]
    distance = np.linalg.norm((found - found[0]) @ turn - (centers - centers[0]), axis=1)
    assert distance.max() < 0.3


def test_scale_and_floor_of_a_walker() -> None:
    points = Walker(1.82, 4).joints(np.linspace(0, 30, 150))
    turn = Rotation.from_euler("xz", [35, -20], degrees=True).as_matrix()
    found = (points @ turn.T + [3, 1, -2]) / 2.5
    scale = body_scale(found, 1.82)
    assert scale is not None
    assert scale.factor == pytest.approx(2.5, rel=0.01)
    assert scale.source == "height 1.82 m"
    guess = body_scale(found, None)
    assert guess is not None
    assert guess.deviation > 0.06
    legs = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
    seated = found.copy()
    seated[:, legs] = np.nan
    arms = body_scale(seated, 1.82)
    assert arms is not None
    assert arms.factor == pytest.approx(2.5, rel=0.02)
    floor = find_floor(2.5 * found, 1.82, np.empty((0, 3)), np.empty((0, 3)))
    assert floor.found
    upright = (2.5 * found - floor.origin) @ floor.R.T
    tilt = floor.R @ turn @ [0, -1, 0]
    assert np.degrees(np.arccos(-tilt[1])) < 3
    assert abs(np.percentile(upright[:, INDEX["left_heel"], 1], 90)) < 0.05


def _on_one_leg(random: np.random.Generator) -> np.ndarray:
    """A person of 1.75 m on the right leg, who leans to its right and stretches the left leg away, mass over the foot.

    Masses are those of de Leva 1996, trunk with head half of all. World: y down, floor at 0.
    """
    lean = np.radians(random.uniform(0, 20))
    across = {"shoulder": 0.2, "elbow": 0.25, "wrist": 0.3, "hip": 0.1, "knee": 0.1, "ankle": 0.1}
    level = {"shoulder": 1.45, "elbow": 1.15, "wrist": 0.9, "hip": 0.93, "knee": 0.5, "ankle": ANKLE * 1.75}
    pose = {
        (side, name): np.array([sign * across[name], -level[name], 0.0])
        for name in level
        for side, sign in (("right", 1), ("left", -1))
    }
    hip, left = np.array([0, -level["hip"], 0]), pose["left", "hip"]
    for key, at in pose.items():
        if key[1] in ("shoulder", "elbow", "wrist"):
            pose[key] = hip + Rotation.from_rotvec([0, 0, lean]).apply(at - hip)
        elif key[0] == "left":
            pose[key] = left + Rotation.from_rotvec([0, 0, 2 * lean]).apply(at - left)
    ends = {("shoulder", "hip"): 0.25, ("shoulder", "elbow"): 0.027, ("elbow", "wrist"): 0.022, ("hip", "knee"): 0.142,
            ("knee", "ankle"): 0.057}  # fmt: skip
    for _ in range(20):
        mass = {(side, *pair): share for pair, share in ends.items() for side in ("left", "right")}
        total = sum(0.5 * share * (pose[s, a] + pose[s, b]) for (s, a, b), share in mass.items()) / sum(mass.values())
        off = (total - pose["right", "ankle"]) * [1, 0, 1] - [0, 0, 0.05]
        for key in pose:
            pose[key] = pose[key] - off * {("right", "ankle"): 0, ("right", "knee"): 0.5}.get(key, 1)
    out = np.full((len(JOINTS), 3), np.nan)
    for (side, name), at in pose.items():
        out[INDEX[f"{side}_{name}"]] = at
    return out @ Rotation.from_rotvec([0, random.uniform(-0.5, 0.5), 0]).as_matrix().T


def test_who_leans_still_stands_over_the_foot() -> None:
    random = np.random.default_rng(2)
    points = np.array([_on_one_leg(random) + random.uniform(-1, 1, 3) * [0.2, 0, 0.5] for _ in range(60)])
    sides = [
        points[:, [INDEX[f"{side}_{name}"] for side in ("left", "right")]].mean(1) for name in ("shoulder", "ankle")
    ]
    assert angle_between(np.median(sides[0] - sides[1], axis=0), [0, -1, 0]) > 8
    turn = Rotation.from_euler("xz", [25, -15], degrees=True).as_matrix()
    upright = ring(4, 0)
    rights, downs = (np.array([turn @ view.T_world_camera[:3, k] for view in upright]) for k in (0, 1))
    rolled = np.array([Rotation.from_rotvec(0.3 * np.cross(r, d)).apply(r) for r, d in zip(rights, downs, strict=True)])
    for cameras in (np.empty((0, 3)), rolled):
        floor = find_floor(points @ turn.T, 1.75, cameras, downs[: len(cameras)])
        assert floor.source == "balance and feet"
        assert angle_between(floor.R @ turn @ [0, -1, 0], [0, -1, 0]) < 4  # tables of masses differ by as much


def angle_between(a: np.ndarray, b: list[float]) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b) / np.linalg.norm(a), -1, 1))))


def test_smooth_motion_takes_out_a_spike_and_fills_no_gap() -> None:
    t = np.arange(120) / 30
    true = np.stack([np.sin(2 * t), np.cos(t), 0.3 * t], axis=1)
    seen = true.copy()
    seen[40] += 1.0
    seen[70:75] = np.nan
    found = smooth_motion(seen[:, None], 30.0)[:, 0]
    assert np.isnan(found[70:75]).all()
    assert np.isfinite(np.delete(found, np.s_[70:75], axis=0)).all()
    inner = np.r_[10:65, 80:115]
    assert np.abs(found[inner] - true[inner]).max() < 0.05


def test_local_fits_give_place_and_velocity_between_frames() -> None:
    t = np.arange(60) / 30
    xy = np.stack([300 + 200 * np.sin(2 * t), 400 + 100 * t**2], axis=1)
    wild = xy.copy()
    wild[30] += 300
    shape = (60, 1, len(JOINTS))
    d = Detections(
        "a",
        (1920, 1080),
        30.0,
        np.broadcast_to(wild[:, None, None], (*shape, 2)).astype(np.float32),
        np.ones(shape, np.float32),
    )
    clock = np.array([0.51, 0.9834, 1.0, 1.5])
    place, velocity, confidence = smooth(d, np.zeros(60, int), clock)
    true = np.stack([300 + 200 * np.sin(2 * clock), 400 + 100 * clock**2], axis=1)
    assert np.abs(place[:, 0] - true).max() < 1.0
    speed = np.stack([400 * np.cos(2 * clock), 200 * clock], axis=1)
    assert np.abs(velocity[:, 0] - speed).max() < 20
    assert (confidence == 1).all()
    assert (smooth(d, np.zeros(60, int), np.array([-0.1, 2.2]))[2] == 0).all()


def test_shuffled_slots_become_two_tracklets() -> None:
    walkers = [Walker(1.7, 5, center_m=(-0.8, 0.0), reach_m=0.3), Walker(1.8, 6, center_m=(0.8, 0.0), reach_m=0.3)]
    d = capture(ring(1, 0), walkers, CaptureConfig(duration_s=4.0), 0).detections[0]
    slots = sorted(link(d), key=lambda s: -(s >= 0).sum())
    first = d.xy[np.arange(len(d.xy)), slots[0]]
    assert (slots[0] >= 0).mean() > 0.95
    step = np.nanmedian(np.linalg.norm(np.diff(first, axis=0), axis=2), axis=1)
    assert np.nanmax(step) < 80


def test_mirror_is_an_involution_and_bones_pair_up() -> None:
    mirror = np.array(MIRRORED)
    assert (mirror[mirror] == np.arange(len(JOINTS))).all()
    table = bones(np.arange(17))
    assert table.joints.max() < 17
    lengths = np.linalg.norm(
        np.diff(Walker(1.7, 1).joints(np.linspace(0, 5, 9))[:, table.joints], axis=2)[:, :, 0], axis=2
    )
    for kind in np.unique(table.kind):
        assert (
            np.ptp(lengths[:, table.kind == kind]) < 0.2 if kind == 4 else np.ptp(lengths[:, table.kind == kind]) < 1e-9
        )
