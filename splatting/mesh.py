"""Stage `mesh`: a coloured triangle mesh from the depth that the splats render, by TSDF fusion.

Each view adds its depth to a truncated signed distance field in sparse voxel blocks (Curless and Levoy 1996; Niessner
et al. 2013), whose zero crossing is the mesh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Float32, Int, UInt8

from fewview.recon.errors import ReconstructionError
from fewview.recon.geometry.graph import components
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.glb import write_glb
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera
from fewview.recon.views import load_posed
from fewview.splatting.config import MeshConfig, MeshFacts
from fewview.splatting.export import read_ply
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.rasterize import rasterize

# Our world has y down (docs/artifacts.md); glTF has y up.
_T_GLTF_WORLD = np.diag([1.0, -1.0, -1.0, 1.0])
_BLOCK = 8


@dataclass(frozen=True)
class DepthView:
    """One posed depth map with colour."""

    camera: Camera
    """Pinhole, at the size of `depth`."""
    T_world_camera: Float[np.ndarray, "4 4"]
    depth: Float32[np.ndarray, "H W"]
    """z-depth, scene units, NaN = unknown."""
    rgb: Float32[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class TriangleMesh:
    vertices: Float32[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    """Counter-clockwise seen from outside, that is from the cameras."""
    colors: UInt8[np.ndarray, "V 3"]


def run(inputs: Mapping[str, Path], config: MeshConfig, out: Path, progress: Progress) -> None:
    """Write `mesh.ply` and `mesh.glb` from the artifacts `photos` and `splat`.

    Raises:
        ReconstructionError: no surface came out.
    """
    posed = load_posed(inputs["photos"], inputs["splat"], config.long_side)
    gaussians = read_ply(inputs["splat"] / "splat.ply")
    views = []
    for index, view in enumerate(posed):
        views.append(_rendered(gaussians, view.camera, view.T_world_camera, view.mask, config))
        progress.step(index + 1, len(posed) + 1, "depth map")
    voxel = voxel_size(views, config.voxel_px)
    mesh = without_crumbs(fuse(views, voxel, config.truncation_voxels), config.min_component)
    write_mesh(out, mesh)
    progress.step(len(posed) + 1, len(posed) + 1, "mesh")
    progress.tell(
        MeshFacts(
            units=read_cameras(inputs["splat"]).units,
            vertices=len(mesh.vertices),
            triangles=len(mesh.faces),
            voxel=voxel,
            extent=tuple(np.ptp(mesh.vertices, axis=0).tolist()),
        )
    )


def write_mesh(out: Path, mesh: TriangleMesh) -> None:
    """Write `mesh.ply` (world frame) and `mesh.glb` (the same vertices under a node that turns y up)."""
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colors, process=False)
    whole.export(out / "mesh.ply")
    write_glb(out / "mesh.glb", mesh.vertices, mesh.faces, mesh.colors, _T_GLTF_WORLD)


def voxel_size(views: Sequence[DepthView], voxel_px: float) -> float:
    """Edge length in scene units that covers `voxel_px` pixels at the median depth.

    Raises:
        ReconstructionError: no view has any depth.
    """
    footprints = [(view.depth / view.camera.fx)[np.isfinite(view.depth)] for view in views]
    if not sum(map(len, footprints)):
        raise ReconstructionError(
            "There is no mesh: the splats are nowhere opaque enough to have a surface.",
            "Add photos that overlap more, or use the `best` preset.",
        )
    return voxel_px * float(np.median(np.concatenate(footprints)))


def fuse(views: Sequence[DepthView], voxel: float, truncation_voxels: float) -> TriangleMesh:
    """TSDF fusion of depth maps, each with equal weight.

    Args:
        voxel: edge length in scene units.
        truncation_voxels: half width of the band about a surface.

    Returns:
        The zero crossing, in an order that does not depend on threads.

    Raises:
        ReconstructionError: no surface came out.
    """
    import open3d as o3d  # 1.5 s to import; only this stage needs it.
    import open3d.core as o3c

    float32 = o3c.float32
    channels = tuple(o3c.SizeVector([n]) for n in (1, 1, 3))
    names, types = ("tsdf", "weight", "color"), (float32, float32, float32)
    grid = o3d.t.geometry.VoxelBlockGrid(names, types, channels, voxel, _BLOCK, 10_000, o3c.Device("CPU:0"))
    for view in views:
        # open3d puts pixel centres at integers, and takes a depth of zero for unknown.
        K = o3c.Tensor.from_numpy(view.camera.matrix - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        T_camera_world = o3c.Tensor.from_numpy(invert_rigid(view.T_world_camera))
        depth = np.nan_to_num(view.depth, nan=0.0)
        if not depth.any():
            continue
        depth_image = o3d.t.geometry.Image(np.ascontiguousarray(depth, np.float32))
        color_image = o3d.t.geometry.Image(np.ascontiguousarray(view.rgb, np.float32))
        span = (1.0, float(depth.max()) * 1.01, truncation_voxels)
        blocks = grid.compute_unique_block_coordinates(depth_image, K, T_camera_world, *span)
        grid.integrate(blocks, depth_image, color_image, K, K, T_camera_world, *span)
    # open3d faults on an empty grid, so it is not asked.
    mesh = grid.extract_triangle_mesh(weight_threshold=0.5) if grid.hashmap().size() else None
    if mesh is None or "indices" not in mesh.triangle or not len(mesh.triangle.indices):
        raise ReconstructionError(
            "There is no mesh: the depth maps hold no surface that is larger than a voxel.",
            "Add photos that overlap more, or use the `best` preset.",
        )
    colors = np.round(np.clip(mesh.vertex.colors.numpy(), 0, 1) * 255).astype(np.uint8)
    return _ordered(mesh.vertex.positions.numpy(), mesh.triangle.indices.numpy(), colors)


def without_crumbs(mesh: TriangleMesh, min_share: float) -> TriangleMesh:
    """The mesh without connected pieces that have less than `min_share` of its triangles (the largest stays)."""
    edges = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    piece = components(len(mesh.vertices), edges)[mesh.faces[:, 0]]
    sizes = np.bincount(piece)
    keep = sizes >= min(min_share * len(mesh.faces), sizes.max())
    faces = mesh.faces[keep[piece]]
    used, faces = np.unique(faces, return_inverse=True)
    return TriangleMesh(mesh.vertices[used], faces.reshape(-1, 3), mesh.colors[used])


def trusted_depth(
    depth: Float[np.ndarray, "H W"],
    alpha: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    config: MeshConfig,
) -> Float32[np.ndarray, "H W"]:
    """Rendered depth where it is a surface: opaque, unmasked, not across an occlusion edge, not far away."""
    known = mask & (alpha >= config.min_alpha) & np.isfinite(depth) & (depth > 0)
    filled = np.where(known, depth, 0).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    # Unknown neighbours (zero) must not count as a jump: they are replaced by the extreme that never wins.
    low = cv2.erode(np.where(known, filled, np.float32(np.inf)), kernel, borderValue=np.inf)
    high = cv2.dilate(filled, kernel, borderValue=0)
    known &= high - low <= config.max_jump * filled
    if known.any():
        known &= filled <= config.max_depth_medians * np.median(filled[known])
    return np.where(known, filled, np.float32(np.nan))


def _ordered(
    vertices: Float32[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], colors: UInt8[np.ndarray, "V 3"]
) -> TriangleMesh:
    """Sorted vertices and faces: the block hash map yields them in an order that varies from run to run."""
    order = np.lexsort([*colors.T[::-1], *vertices.T[::-1]])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    faces = rank[faces]
    first = faces.argmin(1)
    faces = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, 1)
    faces = faces[np.lexsort(faces.T[::-1])]
    return TriangleMesh(vertices[order], faces, colors[order])


def _rendered(
    gaussians: Gaussians,
    camera: Camera,
    T_world_camera: Float[np.ndarray, "4 4"],
    mask: Bool[np.ndarray, "H W"],
    config: MeshConfig,
) -> DepthView:
    pose = torch.from_numpy(invert_rigid(T_world_camera)).float()
    with torch.no_grad():
        seen = rasterize(gaussians, pose, camera, median_depth=True)
    assert seen.median_depth is not None
    depth = trusted_depth(seen.median_depth.numpy(), seen.alpha.numpy(), mask, config)
    # What little shows through is the surface's colour too, not black.
    rgb = (seen.image / seen.alpha.clamp_min(1e-6)[..., None]).clamp(0, 1).numpy()
    return DepthView(camera, T_world_camera, depth, rgb)
