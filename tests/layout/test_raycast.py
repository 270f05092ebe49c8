"""What a camera sees of a layout, against triangles cut out of the same room."""

from __future__ import annotations

import numpy as np
import pytest

from fewview.layout.raycast import cast
from tests.layout.prisms import CAMERA, L_SHAPE, RECTANGLE, SLANTED, pose, room, see, y_down


@pytest.mark.parametrize("polygon", [RECTANGLE, L_SHAPE, SLANTED], ids=["rectangle", "l", "slanted"])
@pytest.mark.parametrize("x", [1.3, -1.0], ids=["inside", "outside"])
def test_rays_end_where_the_room_does(polygon: np.ndarray, x: float) -> None:
    R_room_world = y_down(1).T
    truth = room(polygon, R_room_world=R_room_world)
    turn = np.eye(4)
    turn[:3, :3] = R_room_world.T
    for yaw in (0, 50, 110, 200, 300):
        T = turn @ pose(x, 1.1, yaw, pitch_deg=-20)
        labels, depth = cast(truth, CAMERA, T)
        expected, truly = see(truth, CAMERA, T)
        seen = expected >= 0  # from outside, floor and ceiling go on beyond the walls
        assert seen.all() or x < 0
        assert (labels != expected)[seen].mean() < 1e-3 if seen.any() else x < 0, "but for ties on the edges"
        same = seen & (labels == expected)
        np.testing.assert_allclose(depth[same], truly[same], rtol=1e-9)
