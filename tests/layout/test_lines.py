"""Layouts that are off by centimetres are drawn to the edges of photos of known rooms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewview.layout.lines import Sighting, refine, solve
from fewview.layout.surfaces import DepthView
from fewview.recon.scene import Camera
from tests.layout.prisms import L_SHAPE, RECTANGLE, SLANTED, photos, room, see, turning

CAMERA = Camera(480, 360, 285.0, 285.0, 240.0, 180.0)
POLYGONS = [RECTANGLE, L_SHAPE, SLANTED]


def _views(polygon: np.ndarray) -> list[DepthView]:
    truth = room(polygon)
    return [
        DepthView(str(i), CAMERA, T, depth, np.ones_like(depth))
        for i, T in enumerate(turning(count=5))
        for depth in [see(truth, CAMERA, T)[1]]
    ]


@pytest.mark.parametrize("polygon", POLYGONS, ids=["rectangle", "l", "slanted"])
def test_seams_find_their_edges(polygon: np.ndarray) -> None:
    truth, views = room(polygon), _views(polygon)
    error = np.random.default_rng(1).uniform(-0.04, 0.04, 2 + len(polygon))
    found = refine(truth.moved(error), views, photos(truth, views))
    assert found.floor.height == pytest.approx(0, abs=0.006)
    assert found.ceiling.height == pytest.approx(2.5, abs=0.006)
    seen = [
        i for i in range(len(polygon)) if any((see(truth, CAMERA, v.T_world_camera)[0] == 2 + i).any() for v in views)
    ]
    off = [abs(w.normal @ (w.start - t.start)) for w, t in zip(found.walls, truth.walls, strict=True)]
    assert np.max(np.array(off)[seen]) < 0.012


def test_without_edges_nothing_moves() -> None:
    truth, views = room(RECTANGLE), _views(RECTANGLE)
    start = truth.moved(np.full(6, 0.03))
    assert np.array_equal(refine(start, views, photos(truth, views, blank=True)).polygon, start.polygon)
    hidden = [replace(view, depth=np.full_like(view.depth, 0.5)) for view in views]
    assert np.array_equal(refine(start, hidden, photos(truth, views)).polygon, start.polygon), "furniture before it"


def test_stray_edges_are_outvoted() -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.03, -0.02, 0.05])
    sightings = []
    for index in range(60):
        slope = 80 * rng.standard_normal(3)
        offset = float(slope @ true + 0.2 * rng.standard_normal())
        sightings += [Sighting(slope, stray) for stray in rng.uniform(-8, 8, 1)]
        sightings += [Sighting(slope, offset)] if index % 3 else []
    assert solve(sightings, 3) == pytest.approx(true, abs=0.003)


@given(which=st.integers(0, 2), moves=st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8))
def test_moves_shift_planes_along_their_normals_and_can_be_undone(which: int, moves: list[float]) -> None:
    truth = room(POLYGONS[which])
    x = np.array(moves[: 2 + len(truth.walls)])
    after = truth.moved(x)
    change = truth.planes()[:, 3] - after.planes()[:, 3]
    assert change == pytest.approx(np.array([x[0], -x[1], *x[2:]]), abs=1e-9)
    assert after.moved(-x).polygon == pytest.approx(truth.polygon, abs=1e-9)
