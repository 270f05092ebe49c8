"""The preview: what a web viewer's first picture shows, and which Gaussians are kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tiny
import torch
from splats import psnr, some_gaussians

from fewview.recon.scene import Camera, View
from fewview.splatting.export.preview import contributions, moved, preview
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.paths import looking_at
from fewview.splatting.rasterize import rasterize

VIEWS = [View(str(index), tiny.CAMERA, T) for index, T in enumerate(tiny.poses(3))]


def room(spacing: int = 1) -> Gaussians:
    """Discs of the true colours on the walls that the views see."""
    seen = [tiny.look("", view.T_world_camera) for view in VIEWS]
    points = np.concatenate([view.points[::spacing, ::spacing].reshape(-1, 3) for view in seen])
    colours = np.concatenate([view.image[::spacing, ::spacing].reshape(-1, 3) for view in seen])
    count = len(points)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    sh = (torch.from_numpy(colours).float() - 0.5)[:, None] / 0.28209479
    size = torch.full((count, 3), math.log(0.02 * spacing))
    return Gaussians(torch.from_numpy(points).float(), quats, size, torch.full((count,), 2.0), sh)


def test_contributions_are_the_blending_weights() -> None:
    gaussians = some_gaussians(200, 2)
    view = View("", Camera(40, 32, 40.0, 40.0, 20.0, 16.0), np.eye(4))
    weights, depths = contributions(gaussians, [view, view])
    alpha = rasterize(gaussians, torch.eye(4), view.camera).alpha
    assert float(weights.sum()) == pytest.approx(2 * float(alpha.sum()), rel=1e-4)
    assert bool((weights >= 0).all())
    # Each alone in the front of the picture: removing a Gaussian of no weight changes nothing.
    kept = gaussians.map(lambda tensor: tensor[weights.sum(0) > 0])
    assert torch.equal(rasterize(kept, torch.eye(4), view.camera).alpha, alpha)
    assert depths == pytest.approx([3.0, 3.0], abs=0.6)


def test_the_first_picture_of_the_viewer_shows_what_the_photos_show() -> None:
    gaussians = preview(room(), VIEWS, budget=10**6)
    # gsplat.js's camera: 5 from the origin, half a radian to the right and, here, at the level of the scene.
    place = 5 * np.array([math.sin(0.5), 0, -math.cos(0.5)])
    pose = np.linalg.inv(looking_at(place, np.zeros(3), np.array([0.0, -1, 0])))
    # The Gaussians keep their order: those of the middle photo follow those of the first, pixel by pixel.
    of_photo = gaussians.means[64 * 88 : 2 * 64 * 88].double().numpy()
    seen = of_photo @ pose[:3, :3].T + pose[:3, 3]
    assert (seen[:, 2] > 1).all()
    x, y = (1132 * seen[:, :2] / seen[:, 2:]).T
    rows, columns = np.divmod(np.arange(64 * 88), 88)
    # Upright, not mirrored, in the middle, and half as far again as the photos: two thirds fit on a usual canvas.
    assert np.corrcoef(x, columns)[0, 1] > 0.95
    assert np.corrcoef(y, rows)[0, 1] > 0.95
    assert abs(np.median(x)) < 60
    assert abs(np.median(y)) < 60
    assert 350 < np.quantile(np.abs(y), 0.95) < 450


def test_a_room_seen_from_within_is_shown_without_its_near_walls() -> None:
    """A box and six photos of its sides from the middle: the viewer stands behind a wall, below the ceiling."""
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 12)] * 2), -1).reshape(-1, 2)
    normals = np.concatenate([np.eye(3), -np.eye(3)])
    sides = [np.insert(grid, abs(normal).argmax(), -normal.sum(), axis=1) for normal in normals]
    count = 6 * len(grid)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    box = Gaussians(
        torch.from_numpy(np.concatenate(sides)).float(),
        quats,
        torch.from_numpy(np.log(np.repeat(0.05 - 0.04 * np.abs(normals), len(grid), axis=0))).float(),
        torch.full((count,), 2.0),
        # So that each can be told which side it is of.
        torch.arange(6).repeat_interleave(len(grid)).float()[:, None, None].expand(-1, 1, 3) / 10,
    )
    up = {1: np.array([0, 0, 1.0])}
    camera = Camera(64, 64, 32.0, 32.0, 32.0, 32.0)
    middle = np.zeros(3)
    views = [
        View(str(i), camera, looking_at(middle, -normal, up.get(abs(normal).argmax(), np.array([0, -1.0, 0]))))
        for i, normal in enumerate(normals)
    ]
    shown = preview(box, views, budget=10**6)
    kept = {round(10 * float(value)) for value in shown.sh[:, 0, 0]}
    assert kept == {0, 1, 3, 4, 5}, "side 2 is the wall between the viewer and the room"


def test_moving_splats_and_camera_together_changes_nothing() -> None:
    gaussians = some_gaussians(150, 0)
    camera = Camera(40, 32, 40.0, 40.0, 20.0, 16.0)
    yaw, center, scale = 0.7, np.array([0.3, -0.2, 2.5]), 1.7
    c, s = math.cos(yaw), math.sin(yaw)
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    T_world_camera[:3, 3] = -scale * T_world_camera[:3, :3] @ center
    pose = torch.from_numpy(np.linalg.inv(T_world_camera)).float()
    again = rasterize(moved(gaussians, yaw, center, scale), pose, camera).image
    assert psnr(rasterize(gaussians, torch.eye(4), camera).image, again) > 80


def test_the_budget_keeps_what_the_photos_show() -> None:
    gaussians = room(spacing=2)
    hidden = gaussians.map(torch.clone)
    hidden.means[:, 2] -= 10  # behind all cameras
    both = Gaussians(*(torch.cat([a, b]) for a, b in zip(vars(hidden).values(), vars(gaussians).values(), strict=True)))
    seen = preview(both, VIEWS, budget=gaussians.count)
    assert seen.count == gaussians.count
    assert seen.degree == 0
    torch.testing.assert_close(seen.means, preview(gaussians, VIEWS, budget=10**6).means)
    assert preview(both, VIEWS, budget=7).count == 7
