"""Completion: planes stay planes, contradicted surfaces move back, sky stays unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from depth_scene import Rectangle, exact, look, photograph, textured, three_views

from fewview.recon.depth.artifact import PLANAR, VERIFIED, DepthMap
from fewview.recon.depth.completion import complete
from fewview.recon.depth.diffusion import diffuse
from fewview.recon.depth.evidence import borrowed, pushed_behind
from fewview.recon.depth.scene_planes import find_planes

ROOM = (
    Rectangle((-3, -1.5, 4), (6, 0, 0), (0, 3, 0), textured=False, colour=(0.8, 0.78, 0.7)),
    Rectangle((-3, 1.5, -1), (6, 0, 0), (0, 0, 5)),
    Rectangle((-0.5, -0.9, 3.99), (1.2, 0, 0), (0, 0.8, 0)),
)


@pytest.fixture(scope="module")
def room():
    views, depths = three_views(ROOM)
    return views, depths, [exact(v, d, textured(v)) for v, d in zip(views, depths, strict=True)]


def test_a_blank_wall_comes_out_as_a_wall(room):
    views, depths, maps = room
    filled = complete(views, maps, find_planes(views, maps, 0).planes)
    for before, after, depth in zip(maps, filled, depths, strict=True):
        blank = (before.source == 0) & np.isfinite(depth)
        assert blank.mean() > 0.3  # the wall but for its picture
        error = np.abs(after.depth[blank] / depth[blank] - 1)
        assert (error < 0.03).mean() > 0.9
        assert (after.source[blank] == PLANAR).mean() > 0.95
        verified = before.source == VERIFIED
        assert np.array_equal(after.depth[verified], before.depth[verified])
        assert np.array_equal(after.source[verified], before.source[verified])
        # The verified pixels were given .9 by hand; that of the completed ones is a probability.
        assert abs(after.confidence[blank].astype(float).mean() - (error < 0.02).mean()) < 0.12


def test_planes_are_found_where_they_are(room):
    views, _, maps = room
    planes = find_planes(views, maps, 0).planes
    for normal, offset in (((0, 0, 1), 4.0), ((0, 1, 0), 1.5)):
        assert any(
            abs(p.normal @ normal) > np.cos(np.radians(0.5)) and abs(abs(p.offset) - offset) < 0.02 for p in planes
        )


def test_diffusion_carries_a_plane_across_a_hole(room):
    views, depths, _ = room
    _, depth = views[1], depths[1]
    inverse = np.where(np.isfinite(depth), 1 / depth, 0).astype(np.float32)
    weight = (inverse > 0).astype(np.float32)
    floor = np.zeros(depth.shape, bool)
    floor[100:112, 60:75] = True
    even = np.zeros((*depth.shape, 3), np.float32)
    out = diffuse(even, np.where(floor, 0, inverse), np.where(floor, 0, weight).astype(np.float32))
    assert np.abs(out[floor] / inverse[floor] - 1).max() < 0.05


def test_sky_stays_unknown():
    ground = (Rectangle((-6, 1, 0.5), (12, 0, 0), (0, 0, 9)),)
    views, depths = [], []
    for i, x in enumerate((-0.4, 0.4)):
        view, depth = photograph(ground, look((x, 0, 0), (x, -1.5, 5)), f"sky{i}")
        views.append(view)
        depths.append(depth)
    maps = [exact(v, d, np.isfinite(d)) for v, d in zip(views, depths, strict=True)]
    for after, depth in zip(complete(views, maps, find_planes(views, maps, 0).planes), depths, strict=True):
        assert np.isnan(after.depth[:20]).all()
        assert (after.source[:20] == 0).all()
        assert np.isnan(depth[:20]).all()


def test_fill_before_a_verified_surface_is_pushed_behind_it(room):
    views, depths, maps = room
    target = np.zeros(depths[1].shape, bool)
    target[30:60, 60:100] = True  # claims a board before the picture that views 0 and 2 see
    wrong = np.where(target, 1.15 / depths[1], 1 / depths[1]).astype(np.float32)
    out = pushed_behind(views[1], wrong, target, 20.0, [views[0], views[2]], [maps[0], maps[2]])
    assert np.array_equal(out[~target], wrong[~target])
    seen = target & (maps[1].source == VERIFIED)
    assert seen.sum() > 500
    moved = 1 / out[seen]
    assert np.median(np.abs(moved / depths[1][seen] - 1)) < 0.05
    assert (moved > 0.9 * depths[1][seen]).mean() > 0.9


def test_what_others_verified_is_borrowed_where_colours_agree(room):
    views, depths, maps = room
    nothing = np.zeros(depths[1].shape, bool)
    inverse = borrowed(views[1], nothing, [views[0], views[2]], [maps[0], maps[2]])
    have = inverse > 0
    assert have.mean() > 0.15
    assert (np.abs(1 / inverse[have] / depths[1][have] - 1) < 0.02).mean() > 0.95
    repainted = replace(views[1], image=1 - views[1].image)
    other = borrowed(repainted, nothing, [views[0], views[2]], [maps[0], maps[2]])
    assert (other > 0).sum() < 0.3 * have.sum()


def test_nothing_verified_means_nothing_completed(room):
    views, _, _ = room
    maps = complete(views, [DepthMap.unknown(*view.mask.shape) for view in views], [])
    assert not any(depth_map.source.any() for depth_map in maps)
