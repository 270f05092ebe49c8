"""The optimisation itself: Gaussians, poses, exposures and focal lengths against the photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage
from fewview.splatting.adam import FusedAdam
from fewview.splatting.cameras import FocalParameters, PoseParameters
from fewview.splatting.config import SplatConfig
from fewview.splatting.density import LEAST_OPACITY, ViewError, attributed_error, chosen
from fewview.splatting.dropout import dropped_out
from fewview.splatting.exposure import Exposure
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.losses import PhotometricLoss
from fewview.splatting.model import GaussianParameters
from fewview.splatting.rasterize import Rendering, rasterize
from fewview.splatting.reference import ALPHA_MIN
from fewview.splatting.regularize import SurfaceLoss, SurfacePrior
from fewview.splatting.schedule import Schedule
from fewview.splatting.threads import one_torch_thread

GROWTHS = 4
"""How often Gaussians are split, evenly over the steps at full rates."""
BLUNT_EVERY = 10
"""Steps between two checks for needles."""
_ENOUGH = 6
"""Views from which on nothing is left out: 3 views of a fountain gain (`bench ingredients`: LPIPS .241 to .227);
with a sixth left out, 6 of them lose (.119 of docs/figures.md to .138). Between, it is linear in 1 / views: a guess."""


@dataclass
class Curve:
    """The held-in error as it falls."""

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    gaussians: list[int] = field(default_factory=list)

    def add(self, loss: float, psnr: float, gaussians: int) -> None:
        self.steps.append(len(self.steps) + 1)
        self.loss.append(loss)
        self.psnr.append(psnr)
        self.gaussians.append(gaussians)


@dataclass
class Trained:
    gaussians: Gaussians
    """On the CPU, detached, unit quaternions."""
    Ts_world_camera: Float[np.ndarray, "V 4 4"]
    """Refined; a held view's is bitwise the one it had."""
    focal_factors: list[float]
    """Per view: found over given focal length."""
    exposure: Exposure
    curve: Curve


class Training:
    """State of one optimisation.

    Args:
        start: N Gaussians on the device where all of it shall happen.
        unit: length by which a unit step moves each one's centre, scene units.
        posed: V views.
        priors: one a view.
        given: names of views whose poses are the user's own and stay; where there are none, the first view's stays,
            which fixes the world frame.
    """

    def __init__(
        self,
        start: Gaussians,
        unit: Float32[np.ndarray, " N"],
        posed: Sequence[PosedImage],
        priors: Sequence[SurfacePrior],
        config: SplatConfig,
        given: Sequence[str] = (),
    ) -> None:
        self.device = start.means.device
        self.config = config
        self.posed = posed
        self.weights = view_weights(config.view_weights, [view.name for view in posed])
        self.scene = GaussianParameters(start, torch.from_numpy(unit).to(self.device))
        Ts_camera_world = np.stack([view.T_camera_world for view in posed])
        held = [index for index, view in enumerate(posed) if view.name in given] or [0]
        self.held = held if config.refine_poses else list(range(len(posed)))
        self.poses = PoseParameters(Ts_camera_world, typical_depth(start, Ts_camera_world), self.held, self.device)
        self.focals = FocalParameters([view.camera for view in posed], config.refine_focal, self.device)
        self.exposure = Exposure(len(posed), self.device)
        self.photos = [photometric_loss(view, config.ssim_weight, self.device) for view in posed]
        self.surfaces = [SurfaceLoss(prior, self.device) for prior in priors]
        self.optimizer = self._optimizer()
        self.full_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.trained = [index for index, weight in enumerate(self.weights) if weight > 0]
        self.schedule = Schedule(config.steps, len(self.trained), config.final_rate, config.stop_early)
        self.curve = Curve()
        self._random = torch.Generator().manual_seed(config.seed)
        self._allowance = start.count
        """How many Gaussians there may be by now; each growth adds its share of the budget."""

    def run(self, progress: Progress, threads: int) -> None:
        """All steps."""
        order = np.random.default_rng(self.config.seed)
        growth = max(1, round(2 / 3 * self.config.steps / (GROWTHS + 1)))
        queue: list[int] = []
        step = 0
        while step < self.schedule.end:
            if not queue:
                queue = [self.trained[place] for place in order.permutation(len(self.trained))]
            for group, full in zip(self.optimizer.param_groups, self.full_rates, strict=True):
                group["lr"] = full * self.schedule.rate(step)
            loss, psnr = self.step(queue.pop(), threads)
            step += 1
            self.schedule.observe(loss)
            self.curve.add(loss, psnr, self.scene.count)
            if self.config.needle_ratio and step % BLUNT_EVERY == 0:
                self.scene.blunt(self.config.needle_ratio)
            if self.config.grow and step % growth == 0 and not self.schedule.falling:
                self.grow(threads)
            progress.step(step, self.schedule.end, f"training step, {psnr:.1f} dB")
        if step < self.config.steps:
            progress.note(f"The error had settled: {step} steps were enough of {self.config.steps}.")

    def step(self, index: int, threads: int) -> tuple[float, float]:
        """One step on one view; returns its loss and PSNR before the step."""
        config = self.config
        # The last steps mend what only all together show, such as how opaque layers are that cover each other.
        share = 0.0 if self.schedule.falling else dropout_share(config.dropout, len(self.trained))
        seen = self.rendered(dropped_out(self.scene.gaussians(), share, self._random), index, threads)
        image = self.exposure.apply(seen.image, index) if config.exposure else seen.image
        loss, psnr = self.photos[index](image, threads=threads)
        if config.depth_weight:
            loss = loss + config.depth_weight * self.surfaces[index].depth(seen.depth, seen.alpha)
        if seen.normal is not None:
            loss = loss + config.normal_weight * self.surfaces[index].normal(seen.normal, seen.alpha)
        if config.opacity_weight:
            loss = loss + config.opacity_weight * torch.sigmoid(self.scene.leaves["logit_opacities"]).mean()
        if config.exposure:
            loss = loss + self.exposure.penalty(index)
        if self.weights[index] != 1:
            loss = loss * float(self.weights[index])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.scene.normalize()
        if config.exposure:
            self.exposure.pin_mean()
        return loss.item(), psnr

    def rendered(self, gaussians: Gaussians, index: int, threads: int) -> Rendering:
        """One view of `gaussians`, differentiable with respect to them and the camera."""
        return rasterize(
            gaussians,
            self.poses.view_matrix(index),
            self.posed[index].camera,
            intrinsics=self.focals.intrinsics(index),
            normals=self.config.normal_weight > 0,
            threads=threads,
        )

    def grow(self, threads: int) -> None:
        """Remove what is transparent; split where the error is largest, within the budget."""
        views = []
        gaussians = self.scene.gaussians().detach()
        for index in self.trained:
            with torch.no_grad():
                seen = self.rendered(gaussians, index, threads)
                image = self.exposure.apply(seen.image, index) if self.config.exposure else seen.image
                error = self.photos[index].absolute_error(image)
                views.append(ViewError(self.poses.view_matrix(index), self.posed[index].camera, error))
        alive = torch.sigmoid(gaussians.logit_opacities) >= LEAST_OPACITY
        self._allowance += round(self.config.grow * self.config.budget / GROWTHS)
        room = max(self._allowance - int(alive.sum()), 0)
        self.scene.restructure(self.optimizer, alive, chosen(attributed_error(gaussians, views), alive, room))

    def result(self) -> Trained:
        moved = [
            view.T_world_camera if index in self.held else invert_rigid(T)
            for index, (view, T) in enumerate(zip(self.posed, self.poses.poses(), strict=True))
        ]
        gaussians = visible(self.scene.gaussians().detach()).normalized().to("cpu")
        return Trained(gaussians, np.stack(moved), self.focals.factors(), self.exposure, self.curve)

    def _optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        rates = {
            "offset": config.rate_position_px,
            "quats": config.rate_rotation,
            "log_scales": config.rate_scale,
            "logit_opacities": config.rate_opacity,
            "sh_constant": config.rate_color,
            "sh_higher": config.rate_color / 20,
        }
        groups: list[dict[str, Any]] = [
            {"params": [leaf], "lr": rates[name]} for name, leaf in self.scene.leaves.items() if leaf.numel()
        ]
        if self.poses.parameters:
            groups.append({"params": self.poses.parameters, "lr": config.rate_pose})
        if self.focals.parameters:
            groups.append({"params": self.focals.parameters, "lr": config.rate_focal})
        if config.exposure:
            groups.append({"params": self.exposure.parameters, "lr": config.rate_exposure})
        if self.device.type == "cpu":
            return FusedAdam(groups)
        return torch.optim.Adam(groups, eps=1e-15, fused=True)


def train(
    start: Gaussians,
    unit: Float32[np.ndarray, " N"],
    posed: Sequence[PosedImage],
    priors: Sequence[SurfacePrior],
    config: SplatConfig,
    progress: Progress,
    given: Sequence[str] = (),
) -> Trained:
    """Adam (Kingma and Ba 2015) on 0.8 L1 + 0.2 (1 - SSIM) and the regularisers, one view a step; see `Training`.

    Raises:
        InputError: `config.view_weights` names no photo, or leaves none.
    """
    training = Training(start, unit, posed, priors, config, given)
    with one_torch_thread() as threads:
        training.run(progress, threads)
    return training.result()


def dropout_share(dropout: float, views: int) -> float:
    """Share of the Gaussians that a step at full rates leaves out: a third of them for 3 views, none from `_ENOUGH` on.

    Args:
        dropout: see `SplatConfig`.
        views: how many train.
    """
    return min(dropout * 2 * max(1 / views - 1 / _ENOUGH, 0.0), 0.5)


def view_weights(given: Mapping[str, float], names: Sequence[str]) -> Float[np.ndarray, " V"]:
    """How much each view counts.

    Raises:
        InputError: a name is not among `names`, a weight is negative or not finite, or all are 0.
    """
    for name, weight in given.items():
        if name not in names:
            raise InputError(
                f"--splat.view-weights names {name}, which is no registered photo.", f"Choose from {', '.join(names)}."
            )
        if not 0 <= weight < np.inf:
            raise InputError(f"--splat.view-weights {name} {weight} is no weight.", "Give a number of 0 or more.")
    weights = np.array([given.get(name, 1.0) for name in names])
    if not weights.any():
        raise InputError("--splat.view-weights leaves no photo.", "Give at least one photo a weight above 0.")
    return weights


def visible(gaussians: Gaussians) -> Gaussians:
    """Without those that are too transparent to be drawn; the pictures stay the same."""
    return gaussians.map(lambda tensor: tensor[torch.sigmoid(gaussians.logit_opacities) >= ALPHA_MIN])


def typical_depth(gaussians: Gaussians, Ts_camera_world: Float[np.ndarray, "V 4 4"]) -> float:
    """Median z of the Gaussians over all views that have them in front."""
    means = gaussians.means.double().cpu().numpy()
    z = np.concatenate([means @ T[2, :3] + T[2, 3] for T in Ts_camera_world])
    return float(np.median(z[z > 0])) if (z > 0).any() else 1.0


def photometric_loss(view: PosedImage, ssim_weight: float, device: torch.device) -> PhotometricLoss:
    # Grey under the mask: SSIM's windows reach under it, and what is hidden shall have no say at all.
    shown = np.where(view.mask[..., None], view.image, np.float32(0.5))

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return PhotometricLoss(tensor(shown), tensor(view.mask), ssim_weight)
