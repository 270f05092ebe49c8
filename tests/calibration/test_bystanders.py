"""Who is in the scene, and who stands behind it."""

from __future__ import annotations

import numpy as np
from small_rig import ring, walker

from fewview.calibration.solve.bundle import State
from fewview.calibration.solve.lens import Lenses
from fewview.calibration.tracks.bystanders import in_scene


def test_where_few_cameras_look_stands_a_bystander() -> None:
    views = ring(4)
    lenses = Lenses(
        np.array([(v.camera.width, v.camera.height) for v in views]),
        np.log([v.camera.fx for v in views]),
        np.ones(4),
        np.array([(v.camera.cx, v.camera.cy) for v in views]),
        np.array([(*v.camera.distortion, 0.0) for v in views]),
    )
    inverse = np.array([v.T_camera_world for v in views])
    state = State(lenses, inverse[:, :3, :3], inverse[:, :3, 3], np.zeros((4, 1)), np.zeros((0, 23, 3)))
    actor = walker(12)[:, 0]
    hidden = actor + np.array([0.4, 0, 0.3])
    hidden[::2] = np.nan
    behind = actor - 4.5 * views[0].T_world_camera[:3, 2] * [1, 0, 1]  # behind the first camera, before the third
    assert in_scene(state, [actor, hidden[:9], behind[:5]]) == [True, True, False]
    assert in_scene(state, [behind]) == [True], "where all stand there, that is the scene"
    assert in_scene(state, [np.full((3, 23, 3), np.nan)]) == [True]
