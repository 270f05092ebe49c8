"""Floors: below all that is seen of them; a table top is none, and a reflection in a floor is not below it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fewview.layout.levels import find_levels
from fewview.layout.raycast import first_hits
from fewview.layout.surfaces import DepthView, gather
from tests.layout.prisms import RECTANGLE, look, rays, room, see, turning

ROOM = room(RECTANGLE)
TABLE = ((1.2, 3.4), (1.9, 3.2))
"""Span along x and along y, metres; .75 m high."""


def _table(view: DepthView, floor_seen: bool) -> DepthView:
    """A table top before whatever else is seen."""
    labels, depth = see(ROOM, view.camera, view.T_world_camera)
    eye, directions = rays(ROOM, view.camera, view.T_world_camera)
    with np.errstate(divide="ignore"):
        times = (0.75 - eye[2]) / directions[..., 2]
    hit = eye + times[..., None] * directions
    on = (times > 0) & (times < depth)
    for axis, (low, high) in enumerate(TABLE):
        on &= (hit[..., axis] > low) & (hit[..., axis] < high)
    hidden = (labels == 0) & (not floor_seen)
    return replace(view, depth=np.where(on, times, np.where(hidden, np.nan, view.depth)))


@pytest.mark.parametrize("floor_seen", [True, False])
def test_a_table_top_is_no_floor(floor_seen: bool) -> None:
    views = [_table(view, floor_seen) for view in look(ROOM, turning(), 0.01)]
    floor, ceiling = find_levels(gather(views))
    assert floor.observed == floor_seen
    assert floor.height == pytest.approx(0, abs=0.03 if floor_seen else 0.15)
    assert ceiling.height == pytest.approx(2.5, abs=0.03)


def test_what_a_glossy_floor_reflects_is_not_below_it() -> None:
    views = []
    for index, view in enumerate(look(ROOM, turning(), 0.01)):
        labels, _ = see(ROOM, view.camera, view.T_world_camera)
        eye, directions = rays(ROOM, view.camera, view.T_world_camera)
        # The room goes on below it: its ceiling seems to be a floor 2.5 m farther down.
        reflected = first_hits(ROOM, eye * [1, 1, -1], directions * [1, 1, -1])[1]
        v, u = np.indices(labels.shape)
        gloss = (labels == 0) & ((u // 16 + v // 16 + index) % 2 == 0)
        views.append(replace(view, depth=np.where(gloss, reflected, view.depth)))
    floor, _ = find_levels(gather(views))
    assert floor.observed
    assert floor.height == pytest.approx(0, abs=0.05)


def test_where_nobody_sees_them_they_are_where_they_mostly_are() -> None:
    views = look(ROOM, turning(), 0.01)
    blind = [
        replace(view, depth=np.where(see(ROOM, view.camera, view.T_world_camera)[0] < 2, np.nan, view.depth))
        for view in views
    ]
    low = [replace(view, depth=np.where(np.arange(120)[:, None] > 70, np.nan, view.depth)) for view in blind]
    floor, ceiling = find_levels(gather(low))
    assert not floor.observed
    assert not ceiling.observed
    assert floor.height == pytest.approx(1.5 - 1.46, abs=0.01)
    assert ceiling.height == pytest.approx(2.5, abs=0.1)
