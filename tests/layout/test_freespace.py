"""What rays pass in the plan."""

from __future__ import annotations

import numpy as np
import pytest

from fewview.layout.freespace import observe
from fewview.layout.surfaces import Surfaces


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270, 33, 135])
def test_rays_pass_what_lies_before_their_end(turn_deg: float) -> None:
    """A bundle of level rays of 3 m, also exactly along the grid."""
    turn = np.radians(turn_deg)
    way = np.round([np.cos(turn), np.sin(turn), 0.0], 12)
    eye = np.array([0.4, -0.3, 1.5])
    xyz = np.tile(eye + 3.0 * way, (20, 1))
    surfaces = Surfaces(xyz, np.tile(-way, (20, 1)), np.ones(20), np.zeros(20, int), eye[None])
    space = observe(surfaces, 0.0, 2.5)
    along = (space.centers() - eye[:2]) @ way[:2]
    across = np.abs((space.centers() - eye[:2]) @ [-way[1], way[0]])
    seen = space.seen.ravel() > 0
    assert not seen[along > 3.0 - 0.05].any(), "what ends a ray, wrong by some per cent, is not passed"
    on_ray = np.histogram(along[seen & (across < 0.1)], np.arange(0.25, 2.5, 0.2))[0]
    assert (on_ray > 0).all(), "without gaps"
    behind = space.behind.ravel() > 0
    assert behind.any()
    assert (along[behind] > 2.9).all()
