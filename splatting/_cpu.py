"""The CPU back end of `fewview.splatting.rasterize`: the C++ kernels as an autograd function."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from fewview.recon.io.native import load_kernels
from fewview.splatting.gaussians import Gaussians

_FLOATS = ctypes.c_void_p


class _Scene(ctypes.Structure):
    _fields_ = (
        *((name, _FLOATS) for name in ("means", "quats", "log_scales", "logit_opacities", "sh")),
        ("count", ctypes.c_int64),
        ("coefficients", ctypes.c_int32),
    )


class _View(ctypes.Structure):
    _fields_ = (
        ("R", ctypes.c_float * 9),
        ("t", ctypes.c_float * 3),
        *((name, ctypes.c_float) for name in ("fx", "fy", "cx", "cy")),
        ("background", ctypes.c_float * 3),
        ("near", ctypes.c_float),
        *((n, ctypes.c_int32) for n in ("width", "height", "degree", "antialiased", "normals", "median")),
    )


class _Images(ctypes.Structure):
    _fields_ = tuple((name, _FLOATS) for name in ("image", "alpha", "depth", "normal", "median"))


class _ImageGradients(ctypes.Structure):
    _fields_ = tuple((name, _FLOATS) for name in ("image", "alpha", "depth", "normal"))


class _SceneGradients(ctypes.Structure):
    _fields_ = tuple((name, _FLOATS) for name in ("means", "quats", "log_scales", "logit_opacities", "sh"))


@functools.cache
def library() -> ctypes.CDLL:
    """The kernels with their signatures declared."""
    lib = load_kernels("fewview.splatting")
    at = ctypes.c_void_p
    integer = ctypes.c_int
    lib.fewview_splatting_project.argtypes = [at, at, integer, at, at, at, at]
    lib.fewview_splatting_project.restype = integer
    lib.fewview_splatting_bin.argtypes = [at, at, at, at, ctypes.c_int64, integer, at, at]
    lib.fewview_splatting_bin.restype = None
    lib.fewview_splatting_blend.argtypes = [at, at, at, at, integer, at]
    lib.fewview_splatting_blend.restype = None
    lib.fewview_splatting_slots.argtypes = [ctypes.c_int64]
    lib.fewview_splatting_slots.restype = at
    lib.fewview_splatting_blend_backward.argtypes = [at, at, at, at, at, at, integer, at]
    lib.fewview_splatting_blend_backward.restype = None
    lib.fewview_splatting_project_backward.argtypes = [at, at, at, at, integer, at, at]
    lib.fewview_splatting_project_backward.restype = None
    lib.fewview_splatting_tiles.argtypes = [ctypes.c_int32, ctypes.c_int32]
    lib.fewview_splatting_tiles.restype = ctypes.c_int64
    lib.fewview_splatting_photometric.argtypes = [at, integer, at]
    lib.fewview_splatting_photometric.restype = None
    lib.fewview_splatting_adam.argtypes = [at, integer, integer]
    lib.fewview_splatting_adam.restype = None
    lib.fewview_splatting_force_baseline.argtypes = [integer]
    lib.fewview_splatting_force_baseline.restype = None
    return lib


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _view(pose: Tensor, intrinsics: Tensor, size: tuple[int, int], settings: dict[str, Any]) -> _View:
    view = _View(width=size[0], height=size[1], **settings)
    rows = pose.tolist()
    view.R[:] = [x for row in rows[:3] for x in row[:3]]
    view.t[:] = [row[3] for row in rows[:3]]
    view.fx, view.fy, view.cx, view.cy = intrinsics.tolist()
    return view


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        log_scales: Tensor,
        logit_opacities: Tensor,
        sh: Tensor,
        pose: Tensor,
        intrinsics: Tensor,
        size: tuple[int, int],
        settings: dict[str, Any],
        threads: int,
    ) -> tuple[Tensor | None, ...]:
        lib = library()
        parameters = [t.contiguous() for t in (means, quats, log_scales, logit_opacities, sh)]
        count = len(means)
        scene = _Scene(*(t.data_ptr() for t in parameters), count, sh.shape[1])
        view = _view(pose, intrinsics, size, settings)

        records = torch.empty(count, 16)
        offsets = torch.empty(count + 1, dtype=torch.int32)
        order = torch.empty(count, dtype=torch.int32)
        sizes = (ctypes.c_int64 * 2)()
        bad = lib.fewview_splatting_project(
            ctypes.byref(scene), ctypes.byref(view), threads,
            records.data_ptr(), offsets.data_ptr(), order.data_ptr(), sizes,
        )  # fmt: skip
        if bad < 0:
            raise ValueError("more than 2^31 pairs of Gaussian and tile: the Gaussians or the image are too large")
        names = ("means", "quats", "log_scales", "logit_opacities", "sh")
        if bad:
            broken = [f"gaussians.{name}" for bit, name in enumerate(names) if bad >> bit & 1]
            raise ValueError(f"{' and '.join(broken)}: NaN or infinite values")
        drawn, pairs = sizes
        entries = torch.empty(pairs, 2, dtype=torch.int32)
        tile_starts = torch.empty(lib.fewview_splatting_tiles(*size) + 1, dtype=torch.int32)
        lib.fewview_splatting_bin(
            ctypes.byref(view), records.data_ptr(), offsets.data_ptr(), order.data_ptr(), drawn, threads,
            entries.data_ptr(), tile_starts.data_ptr(),
        )  # fmt: skip

        width, height = size
        image = torch.empty(height, width, 3)
        alpha, depth = torch.empty(height, width), torch.empty(height, width)
        normal = torch.empty(height, width, 3) if settings["normals"] else None
        median = torch.empty(height, width) if settings["median"] else None
        images = _Images(*map(_pointer, (image, alpha, depth, normal, median)))
        lib.fewview_splatting_blend(
            ctypes.byref(view), records.data_ptr(), entries.data_ptr(), tile_starts.data_ptr(), threads,
            ctypes.byref(images),
        )  # fmt: skip
        # Outputs, too, go through save_for_backward: kept as attributes they would form a cycle and leak.
        ctx.save_for_backward(
            *parameters,
            pose,
            intrinsics,
            records,
            offsets,
            entries,
            tile_starts,
            image,
            alpha,
            depth,
            normal,
        )
        ctx.call = (size, settings, threads)
        ctx.set_materialize_grads(False)
        if median is not None:
            ctx.mark_non_differentiable(median)
        return image, alpha, depth, normal, median

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        lib = library()
        *parameters, pose, intrinsics, records, offsets, entries, tile_starts, image, alpha, depth, normal = (
            ctx.saved_tensors
        )
        size, settings, threads = ctx.call
        g_image, g_alpha, g_depth, g_normal = (None if g is None else g.contiguous() for g in gradients[:4])
        if g_image is None:
            g_image = torch.zeros_like(image)
        if g_normal is None:
            # The cheaper kernel: no gradient comes through the normals.
            settings = settings | {"normals": 0}
        scene = _Scene(*(t.data_ptr() for t in parameters), len(parameters[0]), parameters[4].shape[1])
        view = _view(pose, intrinsics, size, settings)
        out = [torch.empty_like(t) for t in parameters]
        sums = torch.empty(16, dtype=torch.float64)
        slots = lib.fewview_splatting_slots(len(entries))
        lib.fewview_splatting_blend_backward(
            ctypes.byref(view), records.data_ptr(), entries.data_ptr(), tile_starts.data_ptr(),
            ctypes.byref(_Images(*map(_pointer, (image, alpha, depth, normal, None)))),
            ctypes.byref(_ImageGradients(*map(_pointer, (g_image, g_alpha, g_depth, g_normal)))),
            threads, slots,
        )  # fmt: skip
        lib.fewview_splatting_project_backward(
            ctypes.byref(scene), ctypes.byref(view), offsets.data_ptr(), slots, threads,
            ctypes.byref(_SceneGradients(*(t.data_ptr() for t in out))), sums.data_ptr(),
        )  # fmt: skip
        g_pose = torch.zeros(4, 4)
        g_pose[:3] = sums[:12].reshape(3, 4)
        return (*out, g_pose, sums[12:].float(), None, None, None)


def rasterize_cpu(
    gaussians: Gaussians,
    pose: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    background: Tensor,
    antialiased: bool,
    sh_degree: int,
    near: float,
    normals: bool,
    median: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Image, alpha, depth, normal and median depth; arguments as `fewview.splatting.rasterize` checked them."""
    settings = {
        "background": tuple(background.tolist()),
        "near": near,
        "degree": sh_degree,
        "antialiased": int(antialiased),
        "normals": int(normals),
        "median": int(median),
    }
    g = gaussians
    return _Rasterize.apply(  # type: ignore[no-untyped-call]
        g.means,
        g.quats,
        g.log_scales,
        g.logit_opacities,
        g.sh,
        pose,
        intrinsics,
        (width, height),
        settings,
        threads,
    )
