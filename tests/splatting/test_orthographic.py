"""Plan and elevations of balls whose places are known, and depth files read by others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.pose import transform
from fewview.recon.io.depth_files import write_depth_exr, write_depth_png
from fewview.splatting.gaussians import SH_C0, Gaussians
from fewview.splatting.orthographic import Box, Drawing, box_around, elevations, plan, with_scale

R_BOX_WORLD = Rotation.random(random_state=1).as_matrix()
SHIFT = np.array([3.0, -2, 1])
"""Of the box's corner from its axes' origin."""
COLOURS = np.eye(3)
BALLS = np.array([[1.0, 3.5, 0.5], [3.0, 1.0, 1.0], [1.5, 1.0, 2.4]])
"""Red, green and blue one, in a room of 4 by 5 by 2.5."""


def balls() -> tuple[Gaussians, Box]:
    count = len(BALLS)
    gaussians = Gaussians(
        means=torch.from_numpy((BALLS + SHIFT) @ R_BOX_WORLD).float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(0.1)),
        logit_opacities=torch.full((count,), 8.0),
        sh=torch.from_numpy((COLOURS - 0.5) / SH_C0).float()[:, None],
    )
    return gaussians, Box(R_BOX_WORLD, SHIFT, SHIFT + np.array([4, 5, 2.5]), inside=True)


def seen(drawing: Drawing) -> dict[int, np.ndarray]:
    """Where each ball's colour has its middle, pixels, of those that are drawn."""
    rows, columns = np.mgrid[: drawing.image.shape[0], : drawing.image.shape[1]] + 0.5
    places = {}
    for k, colour in enumerate(COLOURS):
        # White loses what the ball has not.
        weight = (255 - drawing.image.astype(float))[..., colour == 0].min(-1)
        weight[weight < 20] = 0
        if weight.max() > 100:
            places[k] = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    return places


def test_the_plan_is_true_to_scale_and_cut_below_the_ceiling() -> None:
    gaussians, box = balls()
    drawing = plan(gaussians, box, 550, 0.9)
    # A margin of a twentieth of 5 on each side: 5.5 are 550 pixels.
    assert drawing.units_per_px == pytest.approx(0.01)
    assert drawing.image.shape == (550, 450, 3)
    places = seen(drawing)
    assert set(places) == {0, 1}, "the blue one hangs above the cut"
    for k, place in places.items():
        x, y, _ = BALLS[k]
        np.testing.assert_allclose(place, [100 * (x + 0.25), 100 * (5.25 - y)], atol=0.5)
        told = transform(drawing.T_picture_world, gaussians.means[[k]].double().numpy())[0, :2]
        np.testing.assert_allclose(place, told / drawing.units_per_px, atol=0.5)
    assert set(seen(plan(gaussians, box, 550, 1.0))) == {0, 1, 2}


def test_elevations_show_what_stands_before_each_wall() -> None:
    gaussians, box = balls()
    top, right, bottom, left = elevations(gaussians, box, 550)
    # Towards the top of the plan x runs to the right, z up; the middle lies at y = 2.5 and x = 2.
    assert set(seen(top)) == {0}
    scale = 1 / top.units_per_px
    np.testing.assert_allclose(seen(top)[0], [(1 + 0.25) * scale, (2.75 - 0.5) * scale], atol=0.5)
    assert set(seen(right)) == {1}
    np.testing.assert_allclose(seen(right)[1], [(5.25 - 1) / right.units_per_px, 1.75 / right.units_per_px], atol=0.5)
    assert set(seen(bottom)) == {1, 2}
    np.testing.assert_allclose(seen(bottom)[1][0], (4.25 - 3) / bottom.units_per_px, atol=0.5)
    assert set(seen(left)) == {0, 2}
    np.testing.assert_allclose(seen(left)[2][0], (1 + 0.25) / left.units_per_px, atol=0.5)


def test_a_scene_without_a_room_is_drawn_whole_above_a_scale() -> None:
    gaussians, _ = balls()
    box = box_around(gaussians)
    assert not box.inside
    drawing = plan(gaussians, box, 400, 0.1)
    assert set(seen(drawing)) == {0, 1, 2}
    shown = with_scale(drawing, "m")
    np.testing.assert_array_equal(shown[:400], drawing.image)
    bar = np.flatnonzero((shown[400:] == 0).all(-1).sum(0) >= 3)
    length = np.ptp(bar) * drawing.units_per_px
    assert min(abs(length - nice) for nice in (0.1, 0.2, 0.5, 1.0, 2.0)) < 3 * drawing.units_per_px


def test_depth_is_read_in_metres_elsewhere(tmp_path: Path) -> None:
    depth = np.array([[1.2345, np.nan, 65.5], [0.0004, 70.0, 3.0]], np.float32)
    write_depth_png(tmp_path / "a.png", depth)
    with Image.open(tmp_path / "a.png") as file:
        assert file.mode.startswith("I;16")
        np.testing.assert_array_equal(np.asarray(file), [[1234, 0, 65500], [0, 0, 3000]])
    write_depth_exr(tmp_path / "a.exr", depth)
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        np.testing.assert_array_equal(file.channels()["Z"].pixels, depth)
