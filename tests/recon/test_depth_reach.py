"""Planes reach from where they were verified to the next edge."""

from __future__ import annotations

import numpy as np
import pytest
from depth_scene import look

from fewview.recon.depth.planes import PlaneSamples, ScenePlane, outlined
from fewview.recon.depth.reach import path_to_support
from fewview.recon.depth.tolerances import WAY_FARTHEST as FARTHEST
from fewview.recon.scene import Camera, PosedImage

SIZE = (240, 320)
WALL = ScenePlane(np.array([0.0, 0.0, -1.0]), -4.0)


def _samples(half: float) -> PlaneSamples:
    """A square of the wall, and a lone point far off it."""
    x, y = np.meshgrid(np.linspace(-half, half, 60), np.linspace(-half, half, 60))
    xyz = np.stack([np.append(x.ravel(), 9.0), np.append(y.ravel(), 0.0), np.full(x.size + 1, 4.0)], 1)
    count = len(xyz)
    return PlaneSamples(xyz, np.tile(WALL.normal, (count, 1)), np.full(count, 0.008 * 4), np.ones(count))


def _view(dark_from: int) -> PosedImage:
    """Of a wall that is darker to the right of a column."""
    image = np.full((*SIZE, 3), 0.8, np.float32)
    image[:, dark_from:] = 0.6
    camera = Camera(SIZE[1], SIZE[0], 300.0, 300.0, 160.0, 120.0)
    return PosedImage("wall", camera, look((0, 0, 0), (0, 0, 4)), image, np.ones(SIZE, bool))


def test_an_outline_holds_what_was_verified_less_a_margin() -> None:
    plane = outlined(WALL, _samples(0.5))
    corners = plane.outline @ plane.basis + plane.offset * plane.normal
    assert corners[:, 2] == pytest.approx(4)
    assert np.abs(corners[:, :2]).max() == pytest.approx(0.5 - 2 * 0.02 * 4, abs=0.05)
    rays = np.array([[0, 0, 1.0], [0.05, -0.05, 1], [0.2, 0, 1], [0, 0, -1]])
    assert plane.is_within(np.zeros(3), rays).tolist() == [True, True, False, False]


def test_ways_grow_with_the_distance_and_end_at_an_edge() -> None:
    plane = outlined(WALL, _samples(0.5))
    way = path_to_support(_view(240), [plane], np.ones(SIZE, int))
    assert way[120, 160] == 0
    left = 1 - 0.34 / 4 * 300 / 160  # from the outline to the photo's border, in halves of its width
    assert way[120, 2] == pytest.approx(0.5 * left, abs=0.03)
    assert way[120, 220] < 0.2
    assert (way[:, 250:] == FARTHEST).all()


def test_no_way_leads_through_another_surface() -> None:
    plane = outlined(WALL, _samples(0.5))
    picked = np.ones(SIZE, int)
    picked[:, 40:60] = 0
    way = path_to_support(_view(SIZE[1]), [plane], picked)
    assert (way[:, 40:56] == 0).all()
    assert (way[:, :36] == FARTHEST).all()
    assert (path_to_support(_view(SIZE[1]), [WALL], picked)[:, :36] == FARTHEST).all(), "nothing verified"
