"""Slanted-plane PatchMatch stereo: the Python side of `native/` (see patchmatch_simd.cpp for the papers)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from fewview.recon.depth import tolerances as tol
from fewview.recon.io.native import load_kernels
from fewview.recon.scene import Camera, PosedImage

MAX_SOURCES = 8


@dataclass(frozen=True)
class PlaneMap:
    """Per pixel the plane through its surface point, as inverse z-depth and its gradient over the image.

    Inverse depth is linear in the pixel coordinates of a plane, so the plane through pixel (x, y) continues
    to (x + dx, y + dy) as inverse + gradient_x dx + gradient_y dy.
    """

    inverse: Float32[np.ndarray, "H W"]
    """1 / z, 1 / scene units; 0 where there is none (masked)."""
    gradient_x: Float32[np.ndarray, "H W"]
    gradient_y: Float32[np.ndarray, "H W"]
    cost: Float32[np.ndarray, "H W"]
    """Mean over the better half of the sources of 1 - ZNCC (0 to 2), plus the geometric term where asked."""

    def normals(self, camera: Camera) -> Float32[np.ndarray, "H W 3"]:
        """Unit normals in the camera frame, towards the camera; NaN where there is no plane."""
        x, y = camera.slopes(np.float32)
        # inverse depth = A x + B y + C is the plane (A, B, C) . X = 1, the camera on its negative side.
        a, b = self.gradient_x * camera.fx, self.gradient_y * camera.fy
        normal = -np.stack([a, b, self.inverse - a * x - b * y[:, None]], -1)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(length > 0, normal / length, np.nan).astype(np.float32)

    def upsampled(self, width: int, height: int) -> PlaneMap:
        """The same planes at a larger size: each pixel takes the plane of the small pixel it lies in."""
        small_height, small_width = self.inverse.shape
        sx, sy = small_width / width, small_height / height
        x, y = (np.arange(width) + 0.5) * sx, (np.arange(height) + 0.5) * sy
        ix, iy = np.minimum(x.astype(int), small_width - 1), np.minimum(y.astype(int), small_height - 1)
        grid = np.ix_(iy, ix)
        dx, dy = (x - ix - 0.5)[None, :], (y - iy - 0.5)[:, None]
        gx, gy = self.gradient_x[grid], self.gradient_y[grid]
        inverse = self.inverse[grid] + gx * dx + gy * dy
        inverse = np.where(inverse > 0, inverse, self.inverse[grid])
        return PlaneMap(_f32(inverse), _f32(gx * sx), _f32(gy * sy), _f32(self.cost[grid]))


@dataclass(frozen=True)
class Schedule:
    """One call of the kernel."""

    rounds: int
    planes: int = 0
    """Of the fronto-parallel sweep that starts; 0 starts from a given state."""
    explore_rounds: int = 0
    """Rounds that also try a random plane anywhere in the range."""
    inverse_step: float = 0.0
    """Half width of the depth perturbation, inverse scene units; halves each round."""
    slope: float = 0.5
    """Half width of the normal perturbation (tangent); halves each round."""


def half_size(view: PosedImage) -> PosedImage:
    """The view at half the size, area-averaged; a pixel is usable if all it covers is."""
    camera = view.camera.resized(max(1, view.camera.width // 2), max(1, view.camera.height // 2))
    size = (camera.width, camera.height)
    image = cv2.resize(view.image, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(view.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    return replace(view, camera=camera, image=image, mask=mask)


def match(
    reference: PosedImage,
    sources: Sequence[PosedImage],
    inverse_range: tuple[float, float],
    schedule: Schedule,
    *,
    start: PlaneMap | None = None,
    source_inverse: Sequence[Float32[np.ndarray, "h w"]] | None = None,
    seed: int = 0,
    threads: int,
    simd: bool = True,
) -> PlaneMap:
    """Estimate a plane for every usable pixel of `reference`.

    Args:
        sources: one to `MAX_SOURCES` overlapping views; a hypothesis costs the mean over their better half.
        inverse_range: least and greatest inverse depth, inverse scene units.
        start: state to go on from; needed if `schedule.planes` is 0.
        source_inverse: each source's own inverse depth (0: unknown): adds forward-backward consistency to
            the cost.
        simd: False keeps to the baseline instruction set (for tests).

    Returns:
        The planes; the same for every number of threads.
    """
    if not 1 <= len(sources) <= MAX_SOURCES:
        raise ValueError(f"{len(sources)} sources; 1 to {MAX_SOURCES} are possible")
    if (start is None) != (schedule.planes > 0):
        raise ValueError("either a starting state or a sweep is needed")
    height, width = reference.mask.shape
    if start is None:
        state = [np.zeros((height, width), np.float32) for _ in range(4)]
        state[3][:] = 2.0
    else:
        state = [_f32(x).copy() for x in (start.inverse, start.gradient_x, start.gradient_y, start.cost)]

    keep: list[np.ndarray] = []  # what the structures point to
    records = (_Source * len(sources))()
    for i, source in enumerate(sources):
        inverse = None if source_inverse is None else source_inverse[i]
        records[i] = _source_record(reference, source, inverse, keep)
    camera = reference.camera
    problem = _Stereo(
        width=width,
        height=height,
        grey=_pointer(grey(reference.image), ctypes.c_float, keep),
        rgb=_pointer(_f32(reference.image), ctypes.c_float, keep),
        mask=_pointer(reference.mask.astype(np.uint8), ctypes.c_uint8, keep),
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        inverse_min=inverse_range[0],
        inverse_max=inverse_range[1],
        colour_sigma=tol.WINDOW_COLOUR,
        geometric_weight=0.0 if source_inverse is None else tol.GEOMETRIC_WEIGHT,
        geometric_clamp_px=tol.GEOMETRIC_CLAMP_PX,
        inverse_step=schedule.inverse_step,
        slope=schedule.slope,
        planes=schedule.planes,
        rounds=schedule.rounds,
        explore_rounds=schedule.explore_rounds,
        threads=threads,
        sources=len(sources),
        seed=seed,
    )
    pointers = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in state]
    load_kernels("fewview.recon.depth").fewview_patchmatch(
        ctypes.byref(problem), records, *pointers, ctypes.c_int32(simd)
    )
    return PlaneMap(*state)


def grey(image: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Luma (Rec. 601)."""
    return _f32(image @ np.array([0.299, 0.587, 0.114], np.float32))


def warp_matrices(a: PosedImage, b: PosedImage) -> tuple[np.ndarray, np.ndarray]:
    """`(m, t)`: pixel of b ~ m @ (x, y, 1) + t * inverse depth, for a point (x, y) of a's image."""
    T = b.T_camera_world @ a.T_world_camera
    m = b.camera.matrix @ T[:3, :3] @ np.linalg.inv(a.camera.matrix)
    return m, b.camera.matrix @ T[:3, 3]


class _Source(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("grey", ctypes.POINTER(ctypes.c_float)),
        ("mask", ctypes.POINTER(ctypes.c_uint8)),
        ("inverse_depth", ctypes.POINTER(ctypes.c_float)),
        ("m", ctypes.c_float * 9),
        ("t", ctypes.c_float * 3),
        ("back_m", ctypes.c_float * 9),
        ("back_t", ctypes.c_float * 3),
    )


class _Stereo(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("grey", ctypes.POINTER(ctypes.c_float)),
        ("rgb", ctypes.POINTER(ctypes.c_float)),
        ("mask", ctypes.POINTER(ctypes.c_uint8)),
        *((name, ctypes.c_float) for name in ("fx", "fy", "cx", "cy", "inverse_min", "inverse_max")),
        *((name, ctypes.c_float) for name in ("colour_sigma", "geometric_weight", "geometric_clamp_px")),
        ("inverse_step", ctypes.c_float),
        ("slope", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("planes", "rounds", "explore_rounds", "threads", "sources")),
        ("seed", ctypes.c_uint64),
    )


def _source_record(
    reference: PosedImage, source: PosedImage, inverse: np.ndarray | None, keep: list[np.ndarray]
) -> _Source:
    height, width = source.mask.shape
    (m, t), (back_m, back_t) = warp_matrices(reference, source), warp_matrices(source, reference)
    return _Source(
        width=width,
        height=height,
        grey=_pointer(grey(source.image), ctypes.c_float, keep),
        mask=_pointer(source.mask.astype(np.uint8), ctypes.c_uint8, keep),
        inverse_depth=None if inverse is None else _pointer(_f32(inverse), ctypes.c_float, keep),
        m=(ctypes.c_float * 9)(*m.ravel()),
        t=(ctypes.c_float * 3)(*t),
        back_m=(ctypes.c_float * 9)(*back_m.ravel()),
        back_t=(ctypes.c_float * 3)(*back_t),
    )


def _pointer(array: np.ndarray, kind: type, keep: list[np.ndarray]) -> ctypes._Pointer[Any]:
    keep.append(array)
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _f32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
