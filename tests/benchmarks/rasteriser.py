"""Milliseconds of one training step, split by part, beside the same step in plain torch.

A step is what the optimiser does: projection, binning, blending, L1 + SSIM, all gradients with that of the
pose, and Adam, at 512x384 with spherical harmonics of degree 1, cycling through 12 views. Each row runs in a
process of its own, so its peak memory is its own.

    python tests/benchmarks/rasteriser.py --json rasteriser.json --gaussians 50000 100000 300000
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recon.scene import Camera
from splatting._cpu import library
from splatting.adam import FusedAdam
from splatting.gaussians import Gaussians
from splatting.losses import PhotometricLoss
from splatting.rasterize import rasterize
from splatting.reference import rasterize_reference, rotation_matrices

CAMERA = Camera(512, 384, 450.0, 450.0, 256.0, 192.0)
VIEWS = 12
RATES = {"means": 1e-3, "quats": 1e-2, "log_scales": 1e-2, "logit_opacities": 5e-2, "sh": 1e-2}
PARTS = ("project", "bin", "blend", "blend_backward", "project_backward", "photometric", "adam")
WARM_UP = 3


def random_scene(count: int) -> Gaussians:
    """Gaussians anywhere in front of the camera with a footprint of about one pixel: no tile is like
    another."""
    random = torch.Generator().manual_seed(0)
    z = torch.rand(count, generator=random) * 3 + 1.5
    x = (torch.rand(count, generator=random) * CAMERA.width - CAMERA.cx) / CAMERA.fx
    y = (torch.rand(count, generator=random) * CAMERA.height - CAMERA.cy) / CAMERA.fy
    return Gaussians(
        torch.stack([x * z, y * z, z], 1),
        torch.nn.functional.normalize(torch.randn(count, 4, generator=random), dim=-1),
        (z / CAMERA.fx).log()[:, None] + 0.3 * torch.randn(count, 3, generator=random),
        1.5 * torch.randn(count, generator=random),
        0.3 * torch.randn(count, 4, 3, generator=random),
    )


def surface_scene(count: int) -> Gaussians:
    """A room seen from inside: flat, mostly opaque discs on its walls and on a ball, as training leaves
    them."""
    random = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.stack([
            (torch.rand(count, generator=random) - 0.5) * 1.4 * CAMERA.width / CAMERA.fx,
            (torch.rand(count, generator=random) - 0.5) * 1.4 * CAMERA.height / CAMERA.fy,
            torch.ones(count),
        ], 1), dim=-1,
    )  # fmt: skip
    half = torch.tensor([1.5, 1.0, 3.0])
    reach, wall = (half / directions.abs()).min(1)
    normals = torch.nn.functional.one_hot(wall, 3).float()
    centre, radius = torch.tensor([0.2, 0.3, 2.0]), 0.5
    along = directions @ centre
    gap = along.square() - centre.square().sum() + radius**2
    hit = gap > 0
    reach = torch.where(hit, along - gap.clamp_min(0).sqrt(), reach)
    means = directions * reach[:, None]
    normals = torch.where(hit[:, None], (means - centre) / radius, normals)
    # The shortest turn that takes z to the normal.
    normals = torch.where(normals[:, 2:] < -0.999, -normals, normals)
    quats = torch.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(count)], 1)
    # Discs that just cover the surface between them.
    spacing = means[:, 2] / CAMERA.fx * math.sqrt(CAMERA.width * CAMERA.height * 1.96 / count)
    log_scales = (0.6 * spacing).log()[:, None] + torch.tensor([0.0, 0.0, -2.5])
    return Gaussians(
        means,
        torch.nn.functional.normalize(quats, dim=-1),
        log_scales + 0.2 * torch.randn(count, 3, generator=random),
        2 + torch.randn(count, generator=random),
        0.3 * torch.randn(count, 4, 3, generator=random),
    )


SCENES = {"random": random_scene, "surface": surface_scene}


def view_poses() -> list[Tensor]:
    """World to camera of views that look about by a few degrees."""
    random = torch.Generator().manual_seed(1)
    poses = []
    for _ in range(VIEWS):
        T = torch.eye(4)
        quat = torch.tensor([[1.0, 0, 0, 0]]) + 0.02 * torch.randn(1, 4, generator=random)
        T[:3, :3] = rotation_matrices(quat)[0]
        T[:3, 3] = 0.05 * torch.randn(3, generator=random)
        poses.append(T)
    return poses


class Stopwatch:
    """Times every call of the kernels, by name."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        for name in PARTS:
            self._wrap(name)

    def _wrap(self, name: str) -> None:
        attribute = f"fewview_splatting_{name}"
        kernel = getattr(library(), attribute)

        def timed(*args: Any) -> Any:
            start = time.perf_counter()
            result = kernel(*args)
            self.seconds[name] += time.perf_counter() - start
            return result

        setattr(library(), attribute, timed)


def measure(count: int, scene: str, steps: int) -> dict[str, Any]:
    """One row: milliseconds per step (least and median), its parts in the fastest step, and peak memory."""
    gaussians = SCENES[scene](count).requires_grad_()
    poses = [T.requires_grad_() for T in view_poses()]
    random = torch.Generator().manual_seed(2)
    losses = [PhotometricLoss(torch.rand(CAMERA.height, CAMERA.width, 3, generator=random)) for _ in poses]
    groups = [{"params": [getattr(gaussians, name)], "lr": rate} for name, rate in RATES.items()]
    optimizer = FusedAdam([*groups, {"params": poses, "lr": 1e-5}])
    watch = Stopwatch()
    rows = []
    for step in range(steps + WARM_UP):
        before = dict(watch.seconds)
        start = time.perf_counter()
        seen = rasterize(gaussians, poses[step % VIEWS], CAMERA)
        loss, _ = losses[step % VIEWS](seen.image)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total = time.perf_counter() - start
        parts = {name: 1e3 * (watch.seconds[name] - before[name]) for name in PARTS}
        rows.append((1e3 * total, {**parts, "python_and_torch": 1e3 * total - sum(parts.values())}))
    rows = rows[WARM_UP:]
    fastest = min(rows, key=lambda row: row[0])
    return {
        "gaussians": count,
        "scene": scene,
        "ms_per_step": round(fastest[0], 2),
        "ms_per_step_median": round(statistics.median(total for total, _ in rows), 2),
        "parts": {name: round(value, 2) for name, value in fastest[1].items()},
        "torch_ratio": None,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": torch.get_num_threads(),
    }


def measure_torch(count: int, scene: str) -> float:
    """Milliseconds of the same step in plain torch; the second of two, the first warms up on a small
    scene."""

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


def main(
    json_path: Path | None = None,
    gaussians: Sequence[int] = (50_000, 100_000, 300_000),
    steps: int = 30,
    reference_at: int = 100_000,
) -> dict[str, Any]:
    """Measures every scene at every size.

    Args:
        json_path: where to write the result, too.
        gaussians: sizes.
        steps: timed steps a row.
        reference_at: the size at which plain torch runs for comparison, if it is among `gaussians`.
    """
    context = multiprocessing.get_context("spawn")
    rows = []
    for scene in SCENES:
        for count in gaussians:
            with context.Pool(1) as pool:
                row = pool.apply(measure, (count, scene, steps))
            if count == reference_at:
                with context.Pool(1) as pool:
                    row["torch_ms_per_step"] = round(pool.apply(measure_torch, (count, scene)), 1)
                row["torch_ratio"] = round(row["torch_ms_per_step"] / row["ms_per_step"], 1)
            rows.append(row)
    result = {"width": CAMERA.width, "height": CAMERA.height, "views": VIEWS, "sh_degree": 1, "rows": rows}
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gaussians", type=int, nargs="+", default=[50_000, 100_000, 300_000])
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    print(json.dumps(main(arguments.json, arguments.gaussians, arguments.steps), indent=2))
