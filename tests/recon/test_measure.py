"""Measuring in photos, against planes whose depth is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewview.recon.depth.artifact import DepthMap
from fewview.recon.errors import InputError
from fewview.recon.measure import distance, known_length, project, relative_deviation, surface_point
from fewview.recon.scene import Camera, View
from fewview.recon.sfm.scale import metres_per_unit, parse_length

CAMERA = Camera(800, 600, 700.0, 690.0, 410.0, 295.0, (-0.08, 0.02, 0.001, -0.001))
WALL_NORMAL = np.array([0.2, -0.1, -1.0]) / np.linalg.norm([0.2, -0.1, -1.0])
WALL_OFFSET = -3.0
"""normal . X = offset in the world."""


def turned(x: float, degrees: float) -> View:
    """A camera beside the first one that looks inwards."""
    angle = math.radians(degrees)
    T = np.eye(4)
    T[:3, :3] = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    T[0, 3] = x
    return View(f"view{x:g}.jpg", CAMERA, T)


VIEWS = [turned(0, 0), turned(0.3, -5), turned(1.2, -20)]


def wall_depth(view: View, confidence: float = 0.9, source: int = 1) -> DepthMap:
    """What the depth stage would hold of the wall, at a third of the photo's size."""
    camera = view.camera.pinhole().resized(267, 200)
    x, y = (np.arange(267) + 0.5 - camera.cx) / camera.fx, (np.arange(200) + 0.5 - camera.cy) / camera.fy
    rays = np.stack([*np.meshgrid(x, y), np.ones((200, 267))], 2)
    normal = view.T_world_camera[:3, :3].T @ WALL_NORMAL
    z = (WALL_OFFSET - WALL_NORMAL @ view.center) / (rays @ normal)
    shape = z.shape
    return DepthMap(
        z, np.full(shape, confidence), np.broadcast_to(normal, (*shape, 3)), np.full(shape, source, np.uint8)
    )


def on_wall(right: float, down: float) -> np.ndarray:
    z = (WALL_OFFSET - WALL_NORMAL[0] * right - WALL_NORMAL[1] * down) / WALL_NORMAL[2]
    return np.array([right, down, z])


POINTS = st.tuples(st.floats(-0.6, 1.2), st.floats(-0.7, 0.7))


@given(POINTS, POINTS, st.floats(0.01, 100))
def test_lengths_and_the_scale_that_follows_from_one(
    first: tuple[float, float], second: tuple[float, float], metres: float
) -> None:
    truth = on_wall(*first), on_wall(*second)
    if np.linalg.norm(truth[0] - truth[1]) < 1e-3:
        return
    picks = [project(VIEWS[0], point) for point in truth]
    depth = wall_depth(VIEWS[0])
    a, b = (surface_point(VIEWS[0], depth, xy) for xy in picks if xy is not None)
    # The lens is distorted and the map coarse, yet a plane is measured exactly.
    np.testing.assert_allclose([a.xyz, b.xyz], truth, atol=1e-6)
    measured = distance(a, b)
    assert measured.length == pytest.approx(np.linalg.norm(truth[0] - truth[1]), abs=1e-6)
    assert 0 < measured.deviation < measured.length + 0.1
    length = parse_length(known_length(a, b, metres, VIEWS))
    assert metres_per_unit(length, VIEWS) * measured.length == pytest.approx(metres, rel=1e-3)


def test_what_a_lens_folds_back_into_the_photo_is_not_seen() -> None:
    view = View("wide.jpg", Camera(1024, 576, 480.0, 480.0, 512.0, 288.0, (-0.0074, 0.0, 0.0, 0.0)), np.eye(4))
    assert project(view, np.array([0.9, 0.2, 1.0])) is not None
    for right in (10.3, 10.5):  # 84 degrees off: the model's polynomial has turned round
        assert project(view, np.array([right, -3.4, 1.0])) is None


def test_deviation_follows_from_confidence_and_click() -> None:
    sure, unsure = (
        [surface_point(VIEWS[0], wall_depth(VIEWS[0], confidence), xy) for xy in ((200, 300), (600, 300))]
        for confidence in (0.9, 0.3)
    )
    assert distance(*sure).deviation < distance(*unsure).deviation
    # Of errors with that deviation, the share that the confidence promises lies within 2 %.
    errors = np.random.default_rng(0).normal(0, relative_deviation(0.7), 100_000)
    assert np.mean(np.abs(errors) < 0.02) == pytest.approx(0.7, abs=0.01)
    guessed = surface_point(VIEWS[0], wall_depth(VIEWS[0], source=3), (200, 300))
    assert distance(guessed, sure[1]).completed
    assert not distance(*sure).completed


def test_what_cannot_be_measured_is_told() -> None:
    depth = wall_depth(VIEWS[0])
    depth.depth[100, :] = np.nan
    with pytest.raises(InputError, match=r"No depth is known at 400, 301 in view0\.jpg\. Pick a point that other"):
        surface_point(VIEWS[0], depth, (400, 301))
    with pytest.raises(InputError, match=r"801, 10 lies outside view0\.jpg \(800 x 600\)\. Pick"):
        surface_point(VIEWS[0], depth, (801, 10))
    a, b = (surface_point(VIEWS[0], depth, (x, 200)) for x in (300, 500))
    with pytest.raises(InputError, match=r"one point\. Pick two points that are apart"):
        distance(a, a)
    with pytest.raises(InputError, match=r"-1 is no length in metres\. Give a number above zero"):
        known_length(a, b, -1, VIEWS)
    with pytest.raises(InputError, match=r"No photo but view0\.jpg shows the point at 300, 200\. Pick points that two"):
        known_length(a, b, 1, VIEWS[:1])
