"""What the splats look like from any camera, and films of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.scene import Camera
from fewview.splatting.config import RenderConfig
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.pictures import Range, depth_colours, normal_picture, to_8bit
from fewview.splatting.rasterize import Rendering, rasterize

Show = Literal["rgb", "depth", "normal"]


@dataclass(frozen=True)
class Rendered:
    """What one camera sees, on black; NaN where depth and normals are unknown."""

    image: Float32[np.ndarray, "H W 3"]
    alpha: Float32[np.ndarray, "H W"]
    median_depth: Float32[np.ndarray, "H W"]
    """z where half the light is blocked, scene units."""
    expected_depth: Float32[np.ndarray, "H W"]
    """Mean z by blending weight, scene units."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera: of the surface that the median depth makes."""


def render(
    gaussians: Gaussians,
    camera: Camera,
    T_world_camera: Float[np.ndarray, "4 4"],
    min_alpha: float = RenderConfig.min_alpha,
) -> Rendered:
    """Everything that one pinhole camera sees."""
    seen = _rasterized(gaussians, camera, T_world_camera, median_depth=True)
    assert seen.median_depth is not None
    alpha, nothing = seen.alpha.numpy(), np.float32(np.nan)
    known = alpha >= min_alpha
    median_depth = np.where(known, seen.median_depth.numpy(), nothing)
    return Rendered(
        image=seen.image.numpy(),
        alpha=alpha,
        median_depth=median_depth,
        expected_depth=np.where(known, seen.depth.numpy() / np.maximum(alpha, np.float32(1e-6)), nothing),
        normal=surface_normals(median_depth, camera),
    )


def surface_normals(depth: Float32[np.ndarray, "H W"], camera: Camera) -> Float32[np.ndarray, "H W 3"]:
    """Unit normals, camera frame, towards the camera, by differences between neighbouring pixels; NaN where the pixel
    or a neighbour is unknown.

    They show the scene's shape far better than the Gaussians' own thinnest axes, which are as good as random where a
    Gaussian is no larger than a pixel.
    """
    points = depth[..., None] * camera.rays(np.float32)
    # The cross product of the step down and the step to the right points to the camera.
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    known = np.isfinite(depth)[..., None] & (length > 0)
    return np.where(known, normal / np.maximum(length, 1e-30), np.nan).astype(np.float32)


def picture(
    gaussians: Gaussians,
    camera: Camera,
    T_world_camera: Float[np.ndarray, "4 4"],
    show: Show = "rgb",
    span: Range | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """One frame of a film.

    Args:
        span: depths at the ends of the colour scale, the same for all frames; only for `show="depth"`.
    """
    if show == "rgb":
        return to_8bit(_rasterized(gaussians, camera, T_world_camera, median_depth=False).image.numpy())
    seen = render(gaussians, camera, T_world_camera)
    if show == "normal":
        return normal_picture(seen.normal)
    assert span is not None, "depth has no colours without a scale"
    return depth_colours(seen.median_depth, span)


def _rasterized(
    gaussians: Gaussians, camera: Camera, T_world_camera: Float[np.ndarray, "4 4"], median_depth: bool
) -> Rendering:
    with torch.no_grad():
        pose = torch.from_numpy(invert_rigid(T_world_camera)).float()
        return rasterize(gaussians, pose, camera, median_depth=median_depth)


def film_camera(cameras: Sequence[Camera]) -> Camera:
    """A camera of even size for films: the shape that most photos have, their median focal length, centred."""
    shapes = [(camera.width, camera.height) for camera in cameras]
    width, height = max(sorted(set(shapes)), key=shapes.count)
    focal = float(np.median([camera.fx for camera in cameras if (camera.width, camera.height) == (width, height)]))
    width, height = width - width % 2, height - height % 2
    return Camera(width, height, focal, focal, width / 2, height / 2)


def reframed(camera: Camera, width: int, height: int) -> Camera:
    """`camera` for another size and shape: it sees at least what it saw, as far as the new shape allows."""
    focal = camera.fx * min(width / camera.width, height / camera.height)
    return Camera(width, height, focal, focal, width / 2, height / 2)
