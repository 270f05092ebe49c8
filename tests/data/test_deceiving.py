"""Places that deceive: their photos have exact truth, and equal things look equal."""

from __future__ import annotations

import numpy as np
import pytest

from fewview.data.gallery import DECEITS, Deceit, deceive
from tests.benchmarks.ties.scenes import Scene

SIZE = (160, 120)


@pytest.mark.parametrize("kind", DECEITS)
def test_truth_tells_matches_from_those_beside(kind: Deceit) -> None:
    shots = deceive(kind, seed=3, views=2, size=SIZE)
    first, second = shots
    scene = Scene(kind, kind, [shot.view for shot in shots], [shot.depth for shot in shots])
    pixels = np.indices(SIZE[::-1])[::-1].reshape(2, -1).T + 0.5
    z = first.depth.ravel()
    rays = (pixels - [first.view.camera.cx, first.view.camera.cy]) / first.view.camera.fx
    T = second.view.T_camera_world @ first.view.T_world_camera
    X = np.column_stack([rays * z[:, None], z]) @ T[:3, :3].T + T[:3, 3]
    camera = second.view.camera
    there = X[:, :2] / X[:, 2:] * camera.fx + [camera.cx, camera.cy]
    seen = (X[:, 2] > 0) & (there > 1).all(axis=1) & (there < np.array(SIZE) - 1).all(axis=1)
    assert scene.agree(0, 1, (pixels[seen], there[seen])).all()
    assert scene.agree(0, 1, (pixels[seen], there[seen] + [25, 25])).sum() <= 0.1 * seen.sum()


def test_equal_arguments_give_equal_photos_and_kinds_are_named() -> None:
    once, again = (deceive("mosaic", seed=1, views=1, size=SIZE)[0].image for _ in range(2))
    assert (once == again).all()
    with pytest.raises(ValueError, match="kind is 'maze', not one of tower, facade, columns, twins, mosaic"):
        deceive("maze", seed=1)  # type: ignore[arg-type]
