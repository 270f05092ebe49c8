"""Which pixels become points: a toy of two cameras and two planes, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from depth_scene import look

from fewview.recon.depth.artifact import COMPLETED, VERIFIED, DepthMap
from fewview.recon.depth.covisibility import gather_points, kept_pixels
from fewview.recon.scene import Camera, PosedImage


def view(T=None, size=20):
    camera = Camera(size, size, size, size, size / 2, size / 2)
    grey = np.full((size, size, 3), 0.5, np.float32)
    return PosedImage("v", camera, np.eye(4) if T is None else T, grey, np.ones((size, size), bool))


def flat(depth, confidence, size=20, source=VERIFIED):
    normal = np.zeros((size, size, 3), np.float16)
    normal[..., 2] = -1
    return DepthMap(
        np.full((size, size), depth, np.float32),
        np.full((size, size), confidence, np.float16),
        normal,
        np.full((size, size), source, np.uint8),
    )


def test_the_more_confident_view_keeps_the_surface():
    kept = kept_pixels([view(), view()], [flat(2, 0.5), flat(2, 0.9)])
    assert kept[1].all()
    assert not kept[0].any()


@pytest.mark.parametrize(("depth", "dropped"), [(2.02, True), (1.98, True), (2.1, False), (1.9, False)])
def test_depths_within_the_tolerance_are_one_surface(depth, dropped):
    kept = kept_pixels([view(), view()], [flat(depth, 0.5), flat(2, 0.9)])
    assert kept[0].any() != dropped


def test_what_lies_behind_a_camera_is_not_explained_by_it():
    # The better view stands at z = 4 and looks on, away from the plane at z = 2. Its own surface lies at
    # depth 2, the mirror image of the plane about its centre: a test without z > 0 would call them the same.
    T = np.eye(4)
    T[2, 3] = 4
    kept = kept_pixels([view(), view(T)], [flat(2, 0.5), flat(2, 0.9)])
    assert kept[0].all()
    # Turned round it sees the plane from the other side.
    kept = kept_pixels([view(), view(look((0, 0, 4), (0, 0, 0)))], [flat(2, 0.5), flat(2, 0.9)])
    assert not kept[0].any()


def test_a_verified_pixel_yields_only_to_a_verified_one():
    guess = flat(2, 0.9, source=COMPLETED)
    assert kept_pixels([view(), view()], [flat(2, 0.5), guess])[0].all()
    assert not kept_pixels([view(), view()], [flat(2, 0.5, source=COMPLETED), guess])[0].any()


def test_unknown_pixels_make_no_points_and_explain_nothing():
    unknown = DepthMap.unknown(20, 20)
    kept = kept_pixels([view(), view()], [unknown, flat(2, 0.9)])
    assert not kept[0].any()
    assert kept[1].all()


def test_points_have_the_footprint_of_their_pixel(tmp_path):
    maps = [flat(3, 0.75)]
    points = gather_points([view()], maps, [np.ones((20, 20), bool)])
    assert points.xyz.shape == (400, 3)
    np.testing.assert_allclose(points.xyz[:, 2], 3)
    # Neighbouring pixels at depth 3 and focal length 20 are 0.15 apart.
    np.testing.assert_allclose(points.xyz[1] - points.xyz[0], (0.15, 0, 0), atol=1e-6)
    centre = 9 * 20 + 9
    np.testing.assert_allclose(points.radius[centre], 0.075, rtol=1e-2)
    assert (points.rgb == 128).all()
    points.save(tmp_path)
    cloud = trimesh.load(tmp_path / "points.ply")
    np.testing.assert_allclose(cloud.vertices, points.xyz, atol=1e-6)
    with np.load(tmp_path / "points.npz") as stored:
        assert {name: (str(stored[name].dtype), stored[name].shape) for name in stored} == {
            "xyz": ("float32", (400, 3)),
            "rgb": ("uint8", (400, 3)),
            "normal": ("float16", (400, 3)),
            "radius": ("float32", (400,)),
            "confidence": ("float16", (400,)),
            "verified": ("bool", (400,)),
            "view": ("int16", (400,)),
        }
