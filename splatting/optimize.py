"""Stage `splat`: Gaussians and camera poses, optimised together until their renders look like the photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32

from recon.errors import ReconstructionError
from recon.photos import load_photos
from recon.progress import Progress
from recon.scene import PosedImage, invert_rigid
from recon.views import load_posed
from splatting.adam import FusedAdam
from splatting.artifact import write_refined_cameras, write_training
from splatting.backdrop import backdrop
from splatting.cameras import PoseParameters
from splatting.export import write_ply
from splatting.exposure import Exposure
from splatting.gaussians import Gaussians
from splatting.initialize import gaussians_from_points, in_own_view, joined, read_points, thinned
from splatting.losses import PhotometricLoss
from splatting.model import GaussianParameters
from splatting.rasterize import rasterize
from splatting.reference import ALPHA_MIN
from splatting.regularize import DepthLoss
from splatting.threads import one_torch_thread


@dataclass(frozen=True)
class SplatConfig:
    """How Gaussians and poses are optimised."""

    steps: int = 600
    """One photo each."""
    long_side: int = 512
    """Of the photos as trained on, in pixels."""
    budget: int = 100_000
    """About how many Gaussians to start with."""
    sh_degree: int = 1
    """Spherical harmonics of the colours, 0 to 3."""
    backdrop: bool = True
    """Put a soft layer behind and beside what the photos saw, in place of black."""
    seed: int = 0
    """Of the order in which the views are visited."""
    refine_poses: bool = True
    """Optimise the poses too; the first is held."""
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the loss; the rest is L1."""
    depth_weight: float = 0.1
    """Of the relative depth error where the depth stage verified it."""
    exposure: bool = True
    """Fit a gain and an offset per photo and channel."""
    rate_position_px: float = 0.1
    """Adam's step for centres, in pixels of the photo that a Gaussian came from."""
    rate_color: float = 0.009
    """Of the constant harmonic; a twentieth for the others."""
    rate_opacity: float = 0.05
    """Of the logit."""
    rate_scale: float = 0.01
    """Of the logarithm."""
    rate_rotation: float = 0.01
    """Of the quaternion."""
    rate_pose: float = 5e-4
    """Radians, and shares of the median depth."""
    rate_exposure: float = 2e-3
    """Of gains and offsets."""
    final_rate: float = 0.1
    """All rates fall to this share, exponentially."""


@dataclass
class Curve:
    """The held-in error as it falls."""

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)

    def add(self, step: int, loss: float, psnr: float) -> None:
        self.steps.append(step)
        self.loss.append(loss)
        self.psnr.append(psnr)


@dataclass
class Trained:
    gaussians: Gaussians
    """Detached, unit quaternions."""
    Ts_world_camera: Float[np.ndarray, "V 4 4"]
    """Refined; a held view's is bitwise the one it had."""
    exposure: Exposure
    curve: Curve


def run(inputs: Mapping[str, Path], config: SplatConfig, out: Path, progress: Progress) -> None:
    """Fill `splat/` from the artifacts `photos`, `cameras` and `depth`.

    Raises:
        ReconstructionError: the depth stage found no points to start from.
    """
    posed = load_posed(inputs["photos"], inputs["cameras"], config.long_side)
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    priors = [read_depth(inputs["depth"] / f"{keys[view.name]}.npz", view) for view in posed]
    start, unit = initial_gaussians(inputs["depth"], [keys[view.name] for view in posed], posed, config)
    trained = train(start, unit, posed, priors, config, progress)
    names = [view.name for view in posed]
    write_ply(out / "splat.ply", trained.gaussians)
    write_refined_cameras(out, inputs["cameras"], names, trained.Ts_world_camera)
    facts = {
        "backend": "cpu",
        "configuration": asdict(config),
        "gaussians": trained.gaussians.count,
        "steps": len(trained.curve.steps),
    }
    fitted = dict(zip(names, trained.exposure.values(), strict=True))
    write_training(out, {**facts, "exposure": fitted, "curve": asdict(trained.curve)})
    for name in ("backend", "gaussians", "steps"):
        progress.fact(name, facts[name])
    progress.fact("psnr", round(float(np.mean(trained.curve.psnr[-len(posed) :])), 2))


def initial_gaussians(
    folder: Path, keys: Sequence[str], posed: Sequence[PosedImage], config: SplatConfig
) -> tuple[Gaussians, Float32[np.ndarray, " N"]]:
    """The Gaussians to start from and, per Gaussian, the size of a training pixel there in scene units.

    Args:
        folder: the `depth` artifact.
        keys: of the V views.
        posed: the views.
    """
    points = read_points(folder / "points.npz")
    if not len(points):
        raise ReconstructionError(
            "The depth stage found no surface points, so there is nothing to make splats of.",
            "Add photos that show the same things from more places.",
        )
    points = thinned(points, in_own_view(points, posed)[0], config.budget)
    if config.backdrop:
        layers = []
        for index, (key, view) in enumerate(zip(keys, posed, strict=True)):
            with np.load(folder / f"{key}.npz") as file:
                layers.append(backdrop(view, file["depth"], index))
        points = joined([points, *layers])
    return gaussians_from_points(points, config.sh_degree), in_own_view(points, posed)[1].astype(np.float32)


def read_depth(path: Path, view: PosedImage) -> DepthLoss:
    """Verified depth of one view at the size of its training image; completed depth has no say."""
    size = (view.camera.width, view.camera.height)
    with np.load(path) as file:
        depth, source = file["depth"].astype(np.float32), file["source"]
        weight = np.where((source == 1) & np.isfinite(depth), file["confidence"].astype(np.float32), 0)
    depth = cv2.resize(np.nan_to_num(depth, nan=1.0), size, interpolation=cv2.INTER_NEAREST_EXACT)
    weight = cv2.resize(weight.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return DepthLoss(depth, np.where(view.mask, weight, np.float32(0)))


def train(
    start: Gaussians,
    unit: Float32[np.ndarray, " N"],
    posed: Sequence[PosedImage],
    priors: Sequence[DepthLoss],
    config: SplatConfig,
    progress: Progress,
) -> Trained:
    """Adam (Kingma and Ba 2015) on 0.8 L1 + 0.2 (1 - SSIM) and the regularisers, one view a step.

    Args:
        start: N Gaussians.
        unit: size of a training pixel at each Gaussian, scene units; scales the step of its centre.
        posed: V views; the first one's pose is held.
        priors: one a view.
    """
    scene = GaussianParameters(start, torch.from_numpy(unit))
    Ts_camera_world = np.stack([view.T_camera_world for view in posed])
    held = (0,) if config.refine_poses else range(len(posed))
    poses = PoseParameters(Ts_camera_world, typical_depth(start, Ts_camera_world), held)
    exposure = Exposure(len(posed))
    losses = [_photometric(view, config.ssim_weight) for view in posed]
    optimizer = FusedAdam(_groups(scene, poses, exposure, config))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, config.final_rate ** (1 / config.steps))
    order = np.random.default_rng(config.seed)
    curve = Curve()
    queue: list[int] = []
    with one_torch_thread() as threads:
        for step in range(config.steps):
            if not queue:
                queue = order.permutation(len(posed)).tolist()
            index = queue.pop()
            seen = rasterize(scene.gaussians(), poses.view_matrix(index), posed[index].camera, threads=threads)
            image = exposure.apply(seen.image, index) if config.exposure else seen.image
            loss, psnr = losses[index](image, threads=threads)
            if config.depth_weight:
                loss = loss + config.depth_weight * priors[index](seen.depth, seen.alpha)
            if config.exposure:
                loss = loss + exposure.penalty(index)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            scene.normalize()
            if config.exposure:
                exposure.pin_mean()
            curve.add(step + 1, loss.item(), psnr)
            progress.step(step + 1, config.steps, f"training step, {psnr:.1f} dB")
    moved = [
        view.T_world_camera if index in held else invert_rigid(T)
        for index, (view, T) in enumerate(zip(posed, poses.poses(), strict=True))
    ]
    return Trained(visible(scene.gaussians().detach()).normalized(), np.stack(moved), exposure, curve)


def visible(gaussians: Gaussians) -> Gaussians:
    """Without those that are too transparent to be drawn; the pictures stay the same."""
    return gaussians.map(lambda tensor: tensor[torch.sigmoid(gaussians.logit_opacities) >= ALPHA_MIN])


def typical_depth(gaussians: Gaussians, Ts_camera_world: Float[np.ndarray, "V 4 4"]) -> float:
    """Median z of the Gaussians over all views that have them in front."""
    means = gaussians.means.double().numpy()
    z = np.concatenate([means @ T[2, :3] + T[2, 3] for T in Ts_camera_world])
    return float(np.median(z[z > 0])) if (z > 0).any() else 1.0


def _photometric(view: PosedImage, ssim_weight: float) -> PhotometricLoss:
    # Grey under the mask: SSIM's windows reach under it, and what is hidden shall have no say at all.
    shown = np.where(view.mask[..., None], view.image, np.float32(0.5))
    return PhotometricLoss(torch.from_numpy(shown), torch.from_numpy(view.mask), ssim_weight)


def _groups(
    scene: GaussianParameters, poses: PoseParameters, exposure: Exposure, config: SplatConfig
) -> list[dict[str, Any]]:
    rates = {
        "offset": config.rate_position_px,
        "quats": config.rate_rotation,
        "log_scales": config.rate_scale,
        "logit_opacities": config.rate_opacity,
        "sh_constant": config.rate_color,
        "sh_higher": config.rate_color / 20,
    }
    groups: list[dict[str, Any]] = [
        {"params": [leaf], "lr": rates[name]} for name, leaf in scene.leaves.items() if leaf.numel()
    ]
    if poses.parameters:
        groups.append({"params": poses.parameters, "lr": config.rate_pose})
    if config.exposure:
        groups.append({"params": exposure.parameters, "lr": config.rate_exposure})
    return groups
