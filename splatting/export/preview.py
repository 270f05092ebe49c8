"""A small splat for web viewers that always start from the same place, such as gradio's Model3D (gsplat.js).

That viewer's camera starts 5 units from the origin, half a radian to the right of the z axis and half a radian above
it, looks at the origin with y down, and has a focal length of 1132 px. Its colours do not depend on the direction. So
the preview is turned about the vertical, moved and scaled such that the viewer first shows about what the photos
show, or its middle, wears the colours that the photos see, and keeps the Gaussians that matter most in the photos.
Those that this viewer would see from behind are left out: of a room that was photographed from within it sees the far
walls, through the near ones and the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fewview.recon.scene import Camera, View
from fewview.splatting.gaussians import SH_C0, Gaussians
from fewview.splatting.paths import focus_point
from fewview.splatting.rasterize import rasterize
from fewview.splatting.reference import rotation_matrices, view_colours

_LONG_SIDE = 256
"""Of the pictures that decide which Gaussians matter, in pixels."""
_AZIMUTH_RAD = _ELEVATION_RAD = 0.5
_DISTANCE = 5.0
_FLAT = 0.9
"""Thickness of a Gaussian, as a share of its width, from which on it has no front and back."""
_HALF_HEIGHT = 1.2
"""What the viewer shows above and below the origin: 5 units away, on a canvas of about 540 px."""
_FARTHEST = 1.5
"""Its distance at most, as a multiple of that of the photos. Their field of view may be several times as wide, but
from farther back it would look through what only they have looked past."""


def preview(gaussians: Gaussians, views: Sequence[View], budget: int) -> Gaussians:
    """At most `budget` Gaussians of degree 0 in the frame of the viewer, y down.

    Args:
        gaussians: the scene.
        views: the photos' cameras; at least one.
        budget: how many to keep.
    """
    weights, depths = contributions(gaussians, views)
    frame = _frame(views, depths)
    front = torch.nonzero(_facing(gaussians, views, weights, *frame) >= 0)[:, 0]
    best = torch.argsort(-weights.sum(0)[front], stable=True)[:budget]
    keep = front[best].sort().values
    kept = gaussians.map(lambda tensor: tensor[keep])
    return moved(from_everywhere(kept, views), *frame)


def from_everywhere(gaussians: Gaussians, views: Sequence[View]) -> Gaussians:
    """In the mean of the colours that the photos see, whatever the direction: for places that no photo was taken from,
    where harmonics are a guess."""
    poses = [torch.from_numpy(view.T_camera_world).float() for view in views]
    colours = torch.stack([view_colours(gaussians, pose, gaussians.degree) for pose in poses]).mean(0)
    return replace(gaussians, sh=((colours - 0.5) / SH_C0)[:, None])


def contributions(gaussians: Gaussians, views: Sequence[View]) -> tuple[Float[Tensor, "V N"], Float[np.ndarray, " V"]]:
    """How much each Gaussian adds to each photo: its blending weight summed over all pixels; and the median depth
    that each view sees.

    A picture is linear in the colours, so the gradient of its sum by a colour is that Gaussian's weight.
    """
    weights, depths = [], []
    # White, so that no colour is clamped.
    white = torch.full((gaussians.count, 1, 3), 0.5 / SH_C0, requires_grad=True)
    for view in views:
        camera = view.camera.pinhole().fitted(_LONG_SIDE)
        pose = torch.from_numpy(view.T_camera_world).float()
        seen = rasterize(replace(gaussians, sh=white), pose, camera, median_depth=True)
        (gradient,) = torch.autograd.grad(seen.image[..., 0].sum(), white)
        weights.append(gradient[:, 0, 0] / SH_C0)
        assert seen.median_depth is not None
        depth = seen.median_depth[seen.median_depth.isfinite()]
        depths.append(float(depth.median()) if len(depth) else 1.0)
    return torch.stack(weights), np.array(depths)


def moved(gaussians: Gaussians, yaw_rad: float, center: Float[np.ndarray, " 3"], scale: float) -> Gaussians:
    """Degree-0 Gaussians moved by -`center`, turned about y (down) by `yaw_rad` and scaled."""
    assert gaussians.degree == 0, "higher harmonics would have to be turned, too"
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    turn = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    w, x, y, z = gaussians.quats.unbind(-1)
    c, s = math.cos(yaw_rad / 2), math.sin(yaw_rad / 2)
    return replace(
        gaussians,
        means=(scale * (gaussians.means.double() - torch.from_numpy(center)) @ turn.T).float(),
        # The product of (c, 0, s, 0) and the quaternion.
        quats=torch.stack([c * w - s * y, c * x + s * z, c * y + s * w, c * z - s * x], -1),
        log_scales=gaussians.log_scales + math.log(scale),
    )


def _facing(
    gaussians: Gaussians,
    views: Sequence[View],
    weights: Float[Tensor, "V N"],
    yaw_rad: float,
    center: Float[np.ndarray, " 3"],
    scale: float,
) -> Float[Tensor, " N"]:
    """Negative where the viewer sees the back of a disc of which the photos see the front."""
    level, azimuth = math.cos(_ELEVATION_RAD), -_AZIMUTH_RAD - yaw_rad
    towards = np.array([level * math.sin(azimuth), math.sin(_ELEVATION_RAD), level * math.cos(azimuth)])
    eye = torch.from_numpy(center - _DISTANCE / scale * towards).float()
    sizes = gaussians.log_scales.sort(1).values
    flat = sizes[:, 0] < sizes[:, 1] + math.log(_FLAT)
    thinnest = gaussians.log_scales.argmin(1)
    normals = rotation_matrices(gaussians.quats)[torch.arange(gaussians.count), :, thinnest]
    seen = torch.zeros(gaussians.count)
    for view, weight in zip(views, weights, strict=True):
        ray = torch.nn.functional.normalize(gaussians.means - torch.from_numpy(view.center).float(), dim=1)
        seen += weight * (normals * ray).sum(1)
    return flat * seen * (normals * (gaussians.means - eye)).sum(1)


def _frame(views: Sequence[View], depths: Float[np.ndarray, " V"]) -> tuple[float, Float[np.ndarray, " 3"], float]:
    """Yaw, centre and scale that bring what the photos look at before the viewer's camera."""
    poses = np.stack([view.T_world_camera for view in views])
    center = focus_point(poses, depths)
    # The world's y points down already (docs/artifacts.md), so only the azimuth is free.
    heading = poses[:, :3, 2].mean(0)
    yaw = -_AZIMUTH_RAD - math.atan2(heading[0], heading[2])
    heights = [_half_height(view.camera) * depth for view, depth in zip(views, depths, strict=True)]
    nearest = _DISTANCE / (_FARTHEST * float(np.median(depths)))
    return yaw, center, max(_HALF_HEIGHT / float(np.median(heights)), nearest)


def _half_height(camera: Camera) -> float:
    return camera.height / 2 / camera.fy
