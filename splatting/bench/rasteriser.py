"""All measurements of the rasteriser, each in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fewview.recon.dag import run_isolated
from fewview.splatting.bench.arithmetic import BACKWARD_FLOPS, FORWARD_FLOPS, blended_pairs, peak_gflops
from fewview.splatting.bench.scenes import CAMERA, SCENES, VIEWS
from fewview.splatting.bench.step import time_steps, time_torch_step
from fewview.splatting.bench.training import training_memory


def benchmark_rasteriser(
    gaussians: Sequence[int], steps: int, torch_up_to: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Measures every scene at every size.

    Args:
        gaussians: sizes.
        steps: timed steps a row.
        torch_up_to: largest size at which plain torch runs for comparison; it takes 8 GB for 300,000.
        progress: told what is measured next.

    Returns:
        JSON-serialisable; `rows` has one entry a scene and size.
    """
    progress("arithmetic peak")
    peak = _alone(peak_gflops)
    rows = []
    for scene in SCENES:
        for count in gaussians:
            progress(f"{count} Gaussians, {scene}")
            rows.append(_row(count, scene, steps, peak, with_torch=count <= torch_up_to))
    progress("memory of training")
    return {
        "width": CAMERA.width,
        "height": CAMERA.height,
        "views": VIEWS,
        "sh_degree": 1,
        "threads": torch.get_num_threads(),
        "peak_gflops": round(peak, 1),
        "rows": rows,
        "training": _alone(training_memory),
    }


def _row(count: int, scene: str, steps: int, peak: float, with_torch: bool) -> dict[str, Any]:
    timing = _alone(time_steps, count, scene, steps)
    torch_ms = _alone(time_torch_step, count, scene) if with_torch else None
    pairs = _alone(blended_pairs, count, scene)
    gflop = pairs * (FORWARD_FLOPS + BACKWARD_FLOPS) / 1e9
    gflops = 1e3 * gflop / (timing.parts_ms["blend"] + timing.parts_ms["blend_backward"])
    return {
        "gaussians": count,
        "scene": scene,
        "ms_per_step": round(timing.ms, 2),
        "ms_per_step_median": round(timing.ms_median, 2),
        "parts": {name: round(value, 2) for name, value in timing.parts_ms.items()},
        "parts_share": {name: round(value / timing.ms, 3) for name, value in timing.parts_ms.items()},
        "torch_ms_per_step": torch_ms and round(torch_ms, 1),
        "torch_ratio": torch_ms and round(torch_ms / timing.ms, 1),
        "peak_mib": timing.peak_mib,
        "blending": {
            "pairs": pairs,
            "useful_gflop": round(gflop, 3),
            "useful_gflops": round(gflops, 1),
            "share_of_peak": round(gflops / peak, 3),
        },
    }


def _alone(function: Callable[..., Any], *args: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return run_isolated(function, args, log=Path(folder) / "log")
