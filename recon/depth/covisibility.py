"""One surface, one set of points: drops what a better photo already explains, and writes the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int16, UInt8

from recon.depth import tolerances as tol
from recon.depth.consistency import pixel_index
from recon.geometry.pose import transform
from recon.scene import PosedImage

UNKNOWN, VERIFIED, COMPLETED, PLANAR = 0, 1, 2, 3


@dataclass(frozen=True)
class DepthMap:
    """What one view is known to show; the layout of `<key>.npz` (docs/artifacts.md)."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth, scene units, NaN = unknown."""
    confidence: Float16[np.ndarray, "H W"]
    normal: Float16[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera; NaN = unknown."""
    source: UInt8[np.ndarray, "H W"]

    @classmethod
    def unknown(cls, height: int, width: int) -> DepthMap:
        return cls(
            np.full((height, width), np.nan, np.float32),
            np.zeros((height, width), np.float16),
            np.full((height, width, 3), np.nan, np.float16),
            np.zeros((height, width), np.uint8),
        )

    def save(self, path: Path) -> None:
        np.savez(path, depth=self.depth, confidence=self.confidence, normal=self.normal, source=self.source)


@dataclass(frozen=True)
class Points:
    """Initial surface points in the world; the layout of `points.npz`."""

    xyz: Float32[np.ndarray, "N 3"]
    rgb: UInt8[np.ndarray, "N 3"]
    normal: Float16[np.ndarray, "N 3"]
    radius: Float32[np.ndarray, " N"]
    confidence: Float16[np.ndarray, " N"]
    verified: Bool[np.ndarray, " N"]
    view: Int16[np.ndarray, " N"]

    def save(self, folder: Path) -> None:
        """Write `points.npz` and `points.ply`."""
        np.savez(folder / "points.npz", **self.__dict__)
        names = ("x", "y", "z", "nx", "ny", "nz")
        layout = np.dtype([(n, "<f4") for n in names] + [(n, "u1") for n in ("red", "green", "blue")])
        vertices = np.zeros(len(self.xyz), layout)
        for k in range(3):
            vertices[names[k]] = self.xyz[:, k]
            vertices[names[3 + k]] = self.normal[:, k]
            vertices[("red", "green", "blue")[k]] = self.rgb[:, k]
        properties = [f"property float {n}" for n in names]
        properties += [f"property uchar {n}" for n in ("red", "green", "blue")]
        header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}", *properties]
        with open(folder / "points.ply", "wb") as file:
            file.write(("\n".join([*header, "end_header"]) + "\n").encode())
            file.write(vertices.tobytes())


def kept_pixels(views: Sequence[PosedImage], maps: Sequence[DepthMap]) -> list[Bool[np.ndarray, "H W"]]:
    """Per view the pixels that become points.

    Views are ranked by mean confidence. A pixel is dropped where a higher-ranked view shows the same surface:
    its point lies before that camera (z > 0), inside its image, and within `SAME_SURFACE` of its depth there. A
    verified pixel is dropped only for a verified one.
    """
    mean = [float(m.confidence.astype(np.float32).mean()) for m in maps]
    order = sorted(range(len(views)), key=lambda i: (-mean[i], i))
    kept: list[Bool[np.ndarray, "H W"]] = [np.zeros(m.depth.shape, bool) for m in maps]
    for rank, i in enumerate(order):
        keep = maps[i].source != UNKNOWN
        rows, columns = np.nonzero(keep)
        xyz = world_points(views[i], maps[i].depth, rows, columns)
        is_verified = maps[i].source[rows, columns] == VERIFIED
        explained = np.zeros(len(rows), bool)
        for j in order[:rank]:
            explained |= _explained(views[j], maps[j], xyz, is_verified)
        keep[rows[explained], columns[explained]] = False
        kept[i] = keep
    return kept


def gather_points(
    views: Sequence[PosedImage], maps: Sequence[DepthMap], kept: Sequence[Bool[np.ndarray, "H W"]]
) -> Points:
    """Points of the kept pixels, view by view, row by row."""
    parts: list[tuple[np.ndarray, ...]] = []
    for i, (view, depth_map, keep) in enumerate(zip(views, maps, kept, strict=True)):
        rows, columns = np.nonzero(keep)
        depth = depth_map.depth[rows, columns]
        normal = depth_map.normal[rows, columns].astype(np.float32)
        ray = view.camera.rays(np.float32)[rows, columns]
        facing = np.abs((normal * ray).sum(1)) / np.linalg.norm(ray, axis=1)
        # Half a pixel's footprint, larger (mean of both axes) on a slanted surface, at most doubled.
        focal = 0.5 * (view.camera.fx + view.camera.fy)
        radius = 0.5 * depth / focal / np.sqrt(np.clip(facing, tol.LEAST_FACING, 1))
        parts.append(
            (
                world_points(view, depth_map.depth, rows, columns).astype(np.float32),
                np.round(view.image[rows, columns] * 255).astype(np.uint8),
                (normal @ view.T_world_camera[:3, :3].T.astype(np.float32)).astype(np.float16),
                radius.astype(np.float32),
                depth_map.confidence[rows, columns],
                depth_map.source[rows, columns] == VERIFIED,
                np.full(len(rows), i, np.int16),
            )
        )
    return Points(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def world_points(view: PosedImage, depth: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """World coordinates (N, 3), float64, of pixels at their depth."""
    rays = view.camera.rays_at(np.stack([columns, rows], -1) + 0.5)
    return transform(view.T_world_camera, rays * depth[rows, columns, None].astype(np.float64))


def _explained(view: PosedImage, depth_map: DepthMap, xyz: np.ndarray, is_verified: np.ndarray) -> np.ndarray:
    X = transform(view.T_camera_world, xyz)
    u, v = view.camera.project(X).T
    inside, iy, ix = pixel_index(u, v, view.camera.width, view.camera.height)
    there = depth_map.depth[iy, ix]
    source = depth_map.source[iy, ix]
    same = np.abs(there - X[:, 2]) < tol.SAME_SURFACE * X[:, 2]  # False where either is unknown (NaN)
    return inside & same & ((source == VERIFIED) | ((source != UNKNOWN) & ~is_verified))
