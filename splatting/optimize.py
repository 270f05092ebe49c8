"""Stage `splat`: Gaussians and camera poses, optimised together until their renders look like the photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32

from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage
from fewview.recon.views import load_posed
from fewview.splatting._cuda import cuda_fault
from fewview.splatting.artifact import write_refined_cameras, write_training
from fewview.splatting.backdrop import backdrop
from fewview.splatting.config import SplatConfig, SplatFacts
from fewview.splatting.export import write_ply
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.initialize import gaussians_from_points, in_own_view, joined, read_points, thinned
from fewview.splatting.regularize import SurfacePrior
from fewview.splatting.training import train


def run(inputs: Mapping[str, Path], config: SplatConfig, out: Path, progress: Progress) -> None:
    """Fill `splat/` from the artifacts `photos`, `cameras` and `depth`.

    Raises:
        ReconstructionError: the depth stage found no points to start from.
        InputError: an option does not fit the photos or the machine.
    """
    device = choose_device(config, progress)
    posed = load_posed(inputs["photos"], inputs["cameras"], config.long_side)
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    priors = [read_prior(inputs["depth"] / f"{keys[view.name]}.npz", view) for view in posed]
    start, unit = initial_gaussians(inputs["depth"], [keys[view.name] for view in posed], posed, config)
    given = read_cameras(inputs["cameras"]).given
    trained = train(start.to(device), unit, posed, priors, config, progress, given)
    names = [view.name for view in posed]
    write_ply(out / "splat.ply", trained.gaussians)
    write_refined_cameras(out, inputs["cameras"], names, trained.Ts_world_camera, trained.focal_factors)
    facts = {
        "backend": device.type,
        "configuration": asdict(config),
        "gaussians": trained.gaussians.count,
        "steps": len(trained.curve.steps),
    }
    fitted = dict(zip(names, trained.exposure.values(), strict=True))
    write_training(out, {**facts, "exposure": fitted, "curve": asdict(trained.curve)})
    progress.tell(
        SplatFacts(
            backend=device.type,
            gaussians=trained.gaussians.count,
            steps=len(trained.curve.steps),
            psnr=round(float(np.mean(trained.curve.psnr[-len(posed) :])), 2),
        )
    )


def initial_gaussians(
    folder: Path, keys: Sequence[str], posed: Sequence[PosedImage], config: SplatConfig
) -> tuple[Gaussians, Float32[np.ndarray, " N"]]:
    """The Gaussians to start from, and how far each may move in a step: a training pixel's size there, more where the
    depth is unsure.

    Args:
        folder: the `depth` artifact.
        keys: of the V views.
        posed: the views.

    Returns:
        The Gaussians; per Gaussian the length by which a unit step moves its centre, scene units.
    """
    points = read_points(folder)
    if not len(points):
        raise ReconstructionError(
            "The depth stage found no surface points, so there is nothing to make splats of.",
            "Add photos that show the same things from more places.",
        )
    budget = round((1 - config.grow) * config.budget)
    points = thinned(points, in_own_view(points, posed)[0], budget, config.guess_coarseness)
    if config.backdrop:
        layers = []
        for index, (key, view) in enumerate(zip(keys, posed, strict=True)):
            layers.append(backdrop(view, DepthMap.load(folder / f"{key}.npz").depth, index))
        points = joined([points, *layers])
    unit = in_own_view(points, posed)[1] * config.unsure_boost ** (1 - np.clip(points.confidence, 0, 1))
    return gaussians_from_points(points, config.sh_degree), unit.astype(np.float32)


def read_prior(path: Path, view: PosedImage) -> SurfacePrior:
    """Verified depth and normals of one view at the size of its training image; what was completed has no say."""
    size = (view.camera.width, view.camera.height)

    def resized(array: np.ndarray) -> np.ndarray:
        return cv2.resize(array.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)

    seen = DepthMap.load(path)
    weight = np.where((seen.source == VERIFIED) & np.isfinite(seen.depth), seen.confidence, 0)
    return SurfacePrior(
        resized(np.nan_to_num(seen.depth, nan=1.0)),
        resized(np.nan_to_num(seen.normal, nan=0.0)),
        np.where(view.mask, resized(weight), np.float32(0)),
    )


def choose_device(config: SplatConfig, progress: Progress) -> torch.device:
    """CUDA or the CPU; says why where the second best is taken.

    Raises:
        InputError: focal lengths are to be refined on CUDA.
        EnvironmentFault: CUDA was asked for, and gsplat or the GPU is missing.
    """
    wanted = config.device
    if wanted == "cuda" and config.refine_focal:
        raise InputError("gsplat cannot refine focal lengths on CUDA.", "Add --splat.device cpu.")
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    fault = cuda_fault()
    if wanted == "auto" and config.refine_focal:
        progress.fallback("cuda", "cpu", "gsplat has no gradient by the focal length")
    elif fault is None:
        return torch.device("cuda")
    elif wanted == "cuda":
        raise fault
    else:
        progress.fallback("cuda", "cpu", fault.what)
    return torch.device("cpu")
