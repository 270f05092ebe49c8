"""One training step at a time: our kernels, split by part, and the same work in plain torch."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from fewview.splatting._cpu import library
from fewview.splatting.adam import FusedAdam
from fewview.splatting.bench.scenes import CAMERA, SCENES, VIEWS, view_poses
from fewview.splatting.losses import PhotometricLoss
from fewview.splatting.rasterize import rasterize
from fewview.splatting.reference import rasterize_reference

RATES = {"means": 1e-3, "quats": 1e-2, "log_scales": 1e-2, "logit_opacities": 5e-2, "sh": 1e-2}
PARTS = ("project", "bin", "blend", "blend_backward", "project_backward", "photometric", "adam")
WARM_UP = 3


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent in each kernel while the context lasts."""
    seconds = dict.fromkeys(PARTS, 0.0)
    kernels = {name: getattr(library(), f"fewview_splatting_{name}") for name in PARTS}

    def timed(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            result = kernels[name](*args)
            seconds[name] += time.perf_counter() - start
            return result

        return call

    try:
        for name in PARTS:
            setattr(library(), f"fewview_splatting_{name}", timed(name))
        yield seconds
    finally:
        for name, kernel in kernels.items():
            setattr(library(), f"fewview_splatting_{name}", kernel)


@dataclass(frozen=True)
class Timing:
    ms: float
    """Of the fastest step."""
    ms_median: float
    parts_ms: dict[str, float]
    """Of the fastest step."""
    peak_mib: int
    """Of the process."""


def peak_mib() -> int:
    """The most memory that this process has held, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def time_steps(count: int, scene: str, steps: int) -> Timing:
    """Times `steps` steps of what the optimiser does: projection, binning, blending, L1 + SSIM, all gradients with
    that of the pose, and Adam. To be called in a process of its own: the peak memory is the process's."""
    gaussians = SCENES[scene](count).requires_grad_()
    poses = [T.requires_grad_() for T in view_poses()]
    random = torch.Generator().manual_seed(2)
    losses = [PhotometricLoss(torch.rand(CAMERA.height, CAMERA.width, 3, generator=random)) for _ in poses]
    groups = [{"params": [getattr(gaussians, name)], "lr": rate} for name, rate in RATES.items()]
    optimizer = FusedAdam([*groups, {"params": poses, "lr": 1e-5}])
    rows = []
    with stopwatch() as seconds:
        for step in range(steps + WARM_UP):
            before = dict(seconds)
            start = time.perf_counter()
            seen = rasterize(gaussians, poses[step % VIEWS], CAMERA)
            loss, _ = losses[step % VIEWS](seen.image)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total = time.perf_counter() - start
            parts = {name: 1e3 * (seconds[name] - before[name]) for name in PARTS}
            rows.append((1e3 * total, {**parts, "python_and_torch": 1e3 * total - sum(parts.values())}))
    rows = rows[WARM_UP:]
    fastest = min(rows, key=lambda row: row[0])
    return Timing(fastest[0], statistics.median(total for total, _ in rows), fastest[1], peak_mib())


def time_torch_step(count: int, scene: str) -> float:
    """Milliseconds of the same step in plain torch; the second of two, the first warms up on a small scene."""

    def step(size: int) -> float:
        gaussians = SCENES[scene](size).requires_grad_()
        pose = view_poses()[0].requires_grad_()
        K = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
        loss = PhotometricLoss(torch.rand(CAMERA.height, CAMERA.width, 3))
        groups = [{"params": [getattr(gaussians, name)], "lr": rate} for name, rate in RATES.items()]
        optimizer = torch.optim.Adam([*groups, {"params": [pose], "lr": 1e-5}], fused=True)
        start = time.perf_counter()
        image = rasterize_reference(
            gaussians, pose, K, CAMERA.width, CAMERA.height,
            background=torch.zeros(3), antialiased=False, sh_degree=1, near=0.01,
        )[0]  # fmt: skip
        loss.in_torch(image)[0].backward()
        optimizer.step()
        return 1e3 * (time.perf_counter() - start)

    step(1000)
    return step(count)
