"""The room's directions and shell: what edges say about planes that nothing verified lies on."""

from __future__ import annotations

import numpy as np
import pytest
from depth_scene import Rectangle, exact, textured, three_views
from scipy.spatial.transform import Rotation

from fewview.recon.depth.artifact import PLANAR
from fewview.recon.depth.completion import complete
from fewview.recon.depth.covisibility import world_points
from fewview.recon.depth.scene_planes import find_planes
from fewview.recon.directions import refine_axes

WALL = Rectangle((-4, -3, 4), (8, 0, 0), (0, 4.5, 0), textured=False, colour=(0.8, 0.78, 0.7))
FLOOR = Rectangle((-4, 1.5, -1), (8, 0, 0), (0, 0, 5))
PICTURE = Rectangle((-0.9, -0.7, 3.99), (1.8, 0, 0), (0, 0.9, 0))
CEILING = Rectangle((-4, -1.1, -1), (8, 0, 0), (0, 0, 5), textured=False, colour=(0.84, 0.83, 0.78))


@pytest.fixture(scope="module", params=[True, False], ids=["ceiling", "open"])
def room(request):
    """A blank wall with a picture over a floor, under a ceiling almost of the wall's colour or under none."""
    parts = (WALL, FLOOR, PICTURE, CEILING) if request.param else (WALL, FLOOR, PICTURE)
    views, depths = three_views(parts, (320, 240))
    maps = [exact(v, d, textured(v) & ~ceiling(v, d)) for v, d in zip(views, depths, strict=True)]
    return request.param, views, depths, maps, find_planes(views, maps, 0)


def test_a_ceiling_is_found_by_its_border_and_a_picture_is_not_one(room):
    has_ceiling, views, depths, maps, found = room
    above = [p for p in found.planes if p.encloses and p.normal[1] > 0.9]
    if not has_ceiling:
        assert not above  # the picture's upper edge is straight and level, too
        return
    assert [p.evidence for p in above] == ["border"]
    assert above[0].normal[1] > np.cos(np.radians(0.5))
    assert abs(above[0].offset + 1.1) < 0.03
    on_ceiling = np.stack([ceiling(v, d) for v, d in zip(views, depths, strict=True)])
    assert on_ceiling.mean() > 0.05
    filled = complete(views, maps, found.planes)
    error = np.abs(np.stack([m.depth for m in filled]) / np.stack(depths) - 1)
    assert (error[on_ceiling] < 0.03).mean() > 0.85
    assert (np.stack([m.source for m in filled])[on_ceiling] == PLANAR).mean() > 0.9


def ceiling(view, depth) -> np.ndarray:
    """Which pixels show it: those that lie at its height."""
    return np.abs(coordinate(view, depth, 1) + 1.1) < 0.01


def coordinate(view, depth, axis: int) -> np.ndarray:
    """Of the surface that each pixel shows, in the world."""
    rows, columns = np.indices(depth.shape).reshape(2, -1)
    return world_points(view, depth, rows, columns)[:, axis].reshape(depth.shape)


def test_a_wall_behind_a_blank_bed_is_found_by_its_corner():
    side = Rectangle((1.2, -3, -1), (0, 0, 5), (0, 4.5, 0), textured=False, colour=(0.7, 0.7, 0.66))
    top = Rectangle((0.6, 0.5, 0.2), (0.6, 0, 0), (0, 0, 3.8), textured=False, colour=(0.85, 0.84, 0.8))
    front = Rectangle((0.6, 0.5, 0.2), (0, 0, 3.8), (0, 1.0, 0), textured=False, colour=(0.8, 0.79, 0.75))
    papered = Rectangle((-4, -3, 4), (8, 0, 0), (0, 4.5, 0))
    views, depths = three_views((papered, FLOOR, side, top, front), (320, 240))
    # Stereo sees neither the side wall nor the bed.
    maps = [exact(v, d, textured(v) & (coordinate(v, d, 0) < 0.59)) for v, d in zip(views, depths, strict=True)]
    found = [p for p in find_planes(views, maps, 0).planes if p.encloses and p.normal[0] < -0.9]
    assert [p.evidence for p in found] == ["border"]
    assert abs(found[0].offset + 1.2) < 0.03


def test_the_walls_enclose_and_face_the_cameras(room):
    found = room[-1]
    for normal, offset in (((0, 0, -1), -4.0), ((0, -1, 0), -1.5)):
        assert any(p.encloses and p.normal @ normal > 0.999 and abs(p.offset - offset) < 0.05 for p in found.planes)


def test_edges_turn_the_directions_into_place(room):
    views = room[1]
    rng = np.random.default_rng(0)
    segments = []
    for view in views:
        lines = []
        for k in range(90):
            a = rng.uniform((-2, -1, 3), (2, 1, 4))
            # Two in three run along the room, the rest anywhere.
            step = np.eye(3)[k % 3] if k < 60 else rng.normal(size=3)
            lines.append(np.concatenate([project(view, a), project(view, a + 0.5 * step)]))
        segments.append(np.array(lines, np.float32) + rng.normal(0, 0.2, (90, 4)).astype(np.float32))
    tilted = Rotation.from_rotvec(np.radians([1.2, -1.5, 1.0])).as_matrix()
    axes = refine_axes(tilted, views, segments, np.zeros((0, 3)), np.zeros(0))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert np.degrees(np.arccos(np.clip(np.diag(axes), -1, 1))).max() < 0.2


def project(view, point) -> np.ndarray:
    X = view.T_camera_world[:3, :3] @ point + view.T_camera_world[:3, 3]
    return view.camera.matrix[:2] @ (X / X[2])
