"""The drawing of the cameras from above, and the charts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.apps.reporting.charts import learning_curve, match_matrix, nice_step
from fewview.apps.reporting.plan import Plan, draw_plan
from fewview.apps.results import PairResult, Training
from fewview.recon.scene import Camera, View


def _views() -> list[View]:
    """Three cameras side by side that look ahead (z), level."""
    camera = Camera(640, 480, 500.0, 500.0, 320.0, 240.0)
    views = []
    for i in range(3):
        T = np.eye(4)
        T[:3, 3] = [i, 0.0, 0.2 * i]
        views.append(View(f"{i}.png", camera, T))
    return views


POINTS = np.random.default_rng(0).uniform([-1, -1, 3], [3, 1, 5], (400, 3))
SHARED = np.array([[400, 200, 0], [200, 400, 40], [0, 40, 400]])
NUMBERS = {"0.png": 1, "1.png": 2, "2.png": 3}


def _plan(views: list[View], points: np.ndarray) -> Plan:
    return draw_plan(views, points, SHARED, NUMBERS, "m", {"2.png": ("right",)})


def test_ahead_is_up_the_page_and_right_is_right() -> None:
    plan = _plan(_views(), POINTS)
    first, second, third = plan.cameras
    assert first.x < second.x < third.x
    assert first.y > second.y > third.y
    points = np.array([[float(v) for v in dot.removesuffix("h0").split()] for dot in plan.points.split("M")[1:]])
    assert points[:, 1].max() < third.y, "the points lie ahead"
    place, left, right = (tuple(map(float, corner.split(","))) for corner in first.wedge.split())
    assert left[0] < place[0] < right[0]
    assert max(left[1], right[1]) < place[1]
    assert plan.bar == "1 m"
    assert plan.bar_px == pytest.approx(second.x - first.x, abs=0.2)


def test_weak_ties_and_bare_sides_are_marked() -> None:
    plan = _plan(_views(), POINTS)
    assert [(tie.a, tie.b, tie.shared, tie.weak) for tie in plan.ties] == [
        ("0.png", "1.png", 200, False),
        ("1.png", "2.png", 40, True),
    ]
    third = plan.cameras[2]
    ((side, x1, y1, x2, y2),) = third.bare
    assert (side, x1, y1) == ("right", third.x, third.y)
    assert third.wedge.endswith(f"{x2},{y2}")
    (between,) = plan.wanted
    second = plan.cameras[1]
    assert between == pytest.approx(((second.x + third.x) / 2, (second.y + third.y) / 2), abs=0.11)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_the_drawing_does_not_depend_on_the_world_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    R, t = Rotation.random(rng=rng).as_matrix(), rng.uniform(-5, 5, 3)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    moved = [View(view.name, view.camera, T @ view.T_world_camera) for view in _views()]
    here, there = _plan(_views(), POINTS), _plan(moved, POINTS @ R.T + t)
    for a, b in zip(here.cameras, there.cameras, strict=True):
        assert (a.x, a.y) == pytest.approx((b.x, b.y), abs=0.11)
    assert here.height == pytest.approx(there.height, abs=0.11)


def test_a_camera_that_looks_straight_down_and_one_place_can_be_drawn() -> None:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("x", -90, degrees=True).as_matrix()
    views = [View("0.png", _views()[0].camera, T), View("1.png", _views()[0].camera, T)]
    plan = draw_plan(views, np.zeros((0, 3)), np.array([[0, 0], [0, 0]]), NUMBERS, "units", {})
    assert np.isfinite([camera.x for camera in plan.cameras]).all()


@given(st.floats(1e-3, 1e5))
def test_ticks_are_round_and_few(span: float) -> None:
    step = nice_step(span)
    assert 2 <= span / step <= 8
    assert float(f"{step:.0e}") == pytest.approx(step)


def test_the_learning_curve_ends_where_training_did() -> None:
    training = Training("cpu", 10, tuple(range(1, 13)), (10.0,) * 6 + (30.0,) * 6)
    curve = learning_curve(training, 3)
    assert curve is not None
    assert (curve.first_db, curve.last_db) == (10.0, 30.0)
    assert len(curve.points.split()) == 4
    assert learning_curve(Training("cpu", 10, (), ()), 3) is None


def test_the_table_of_matches_is_symmetric() -> None:
    matrix = match_matrix([PairResult("0.png", "1.png", 50), PairResult("0.png", "2.png", 0)], NUMBERS)
    at = {label.text: label.at - matrix.cell / 2 for label in matrix.labels}
    cells = {(cell.x, cell.y): cell.verified for cell in matrix.cells}
    assert cells == {(at["1"], at["2"]): 50, (at["2"], at["1"]): 50}
    assert [label.text for label in matrix.labels] == ["1", "2", "3"]
