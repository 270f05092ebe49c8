"""TSDF fusion: a box room from exact depth comes out with its extent, and the files read back elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from fewview.recon.errors import ReconstructionError
from fewview.recon.io.glb import one_sided
from fewview.recon.scene import Camera
from fewview.splatting.config import MeshConfig
from fewview.splatting.mesh import (
    DepthView,
    TriangleMesh,
    fuse,
    trusted_depth,
    voxel_size,
    without_crumbs,
    write_mesh,
)

HALF = np.array([2.0, 1.2, 1.6])
CAMERA = Camera(96, 80, 60.0, 60.0, 48.0, 40.0)


def room_views() -> list[DepthView]:
    """Exact depth of a box room of half extent HALF, seen from near its middle; colour says where on the wall."""
    u, v = np.meshgrid(np.arange(CAMERA.width) + 0.5, np.arange(CAMERA.height) + 0.5)
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u)], -1)
    views = []
    for yaw in range(0, 360, 45):
        for pitch in (-40, 0, 40):
            T = np.eye(4)
            T[:3, :3] = Rotation.from_euler("yx", [yaw, pitch], degrees=True).as_matrix()
            T[:3, 3] = [0.1, 0.05, -0.1]
            world = rays @ T[:3, :3].T
            depth = ((np.where(world > 0, HALF, -HALF) - T[:3, 3]) / world).min(-1)
            points = T[:3, 3] + depth[..., None] * world
            views.append(DepthView(CAMERA, T, depth.astype(np.float32), (0.5 + points / HALF / 4).astype(np.float32)))
    return views


@pytest.fixture(scope="module")
def room() -> TriangleMesh:
    views = room_views()
    return fuse(views, voxel_size(views, 1.5), 4.0)


def test_room_has_its_extent_colours_and_faces_the_cameras(room: TriangleMesh) -> None:
    # A corner is where the field is least sure: a voxel is 0.05.
    np.testing.assert_allclose(room.vertices.min(0), -HALF, atol=0.05)
    np.testing.assert_allclose(room.vertices.max(0), HALF, atol=0.05)
    to_wall = np.abs(np.abs(room.vertices) - HALF).min(1)
    assert np.median(to_wall) < 0.01
    assert np.quantile(to_wall, 0.99) < 0.05
    expected = 255 * (0.5 + room.vertices / HALF / 4)
    assert np.quantile(np.abs(room.colors - expected).max(1), 0.99) < 6
    triangles = room.vertices[room.faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    inwards = -np.einsum("fi,fi->f", normals, triangles.mean(1)) > 0
    assert inwards.mean() > 0.99


def test_same_depth_gives_the_same_mesh(room: TriangleMesh) -> None:
    views = room_views()
    again = fuse(views, voxel_size(views, 1.5), 4.0)
    for name in ("vertices", "faces", "colors"):
        assert np.array_equal(getattr(room, name), getattr(again, name))


def test_files_read_back_by_trimesh(room: TriangleMesh, tmp_path: Path) -> None:
    write_mesh(tmp_path, room)
    ply = trimesh.load(tmp_path / "mesh.ply", process=False)
    np.testing.assert_array_equal(ply.vertices.astype(np.float32), room.vertices)
    np.testing.assert_array_equal(ply.faces, room.faces)
    np.testing.assert_array_equal(ply.visual.vertex_colors[:, :3], room.colors)

    scene = trimesh.load(tmp_path / "mesh.glb", process=False)
    (geometry,) = scene.geometry.values()
    assert geometry.visual.material.doubleSided
    for inside, order in ((False, 1), (True, -1)):
        data = one_sided((tmp_path / "mesh.glb").read_bytes(), inside)
        (shown,) = trimesh.load(io.BytesIO(data), "glb", process=False).geometry.values()
        assert not shown.visual.material.doubleSided
        np.testing.assert_array_equal(shown.vertices, geometry.vertices)
        np.testing.assert_array_equal(shown.faces, geometry.faces[:, ::order])
    np.testing.assert_array_equal(geometry.faces, room.faces)
    turned = scene.to_geometry().vertices
    np.testing.assert_allclose(turned, room.vertices * [1, -1, -1], atol=1e-5)
    linear = np.asarray(geometry.visual.vertex_attributes["color"], float)[:, :3] / 65535
    shown = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    np.testing.assert_allclose(255 * shown, room.colors, atol=0.6)


def test_crumbs_are_dropped_and_what_stays_is_whole() -> None:
    big, small = trimesh.creation.icosphere(3), trimesh.creation.icosphere(0)
    vertices = np.concatenate([small.vertices + 5, big.vertices]).astype(np.float32)
    faces = np.concatenate([small.faces, big.faces + len(small.vertices)])
    mesh = TriangleMesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))
    kept = without_crumbs(mesh, 0.05)
    assert len(kept.faces) == len(big.faces)
    assert np.abs(np.linalg.norm(kept.vertices, axis=1) - 1).max() < 1e-6
    assert len(without_crumbs(mesh, 0.001).faces) == len(faces)


def test_depth_across_edges_or_where_splats_are_thin_is_not_trusted() -> None:
    depth = np.full((8, 10), 2.0, np.float32)
    depth[:, 6:] = 3.0
    alpha = np.ones((8, 10), np.float32)
    alpha[0] = 0.1
    mask = np.ones((8, 10), bool)
    mask[:, 0] = False
    trusted = trusted_depth(depth, alpha, mask, MeshConfig())
    expected = np.zeros((8, 10), bool)
    expected[1:, 1:5] = expected[1:, 7:] = True
    np.testing.assert_array_equal(np.isfinite(trusted), expected)


def test_nothing_to_mesh_says_what_to_do() -> None:
    empty = DepthView(CAMERA, np.eye(4), np.full((80, 96), np.nan, np.float32), np.zeros((80, 96, 3), np.float32))
    with pytest.raises(ReconstructionError, match=r"nowhere opaque enough to have a surface\. Add photos"):
        voxel_size([empty], 1.5)
    with pytest.raises(ReconstructionError, match=r"no surface that is larger than a voxel\. Add photos"):
        fuse([empty], 0.1, 4.0)
