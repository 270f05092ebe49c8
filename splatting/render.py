"""Stage `renders`: what the splats look like from the photos' cameras, their depth, and two short films."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8

from recon.io.cameras import read_cameras
from recon.photos import load_photos
from recon.progress import Progress
from recon.scene import Camera, PosedImage, invert_rigid
from recon.views import load_posed
from splatting import paths
from splatting.export import read_ply
from splatting.gaussians import Gaussians
from splatting.rasterize import Rendering, rasterize
from splatting.video import write_mp4

_BAR_PX = 34
"""Height of the strip under a depth picture that holds its colour scale."""


@dataclass(frozen=True)
class RenderConfig:
    """How pictures and films are rendered."""

    long_side: int = 512
    """Of the pictures and films, in pixels."""
    fps: int = 24
    """Frames a second of the films."""
    seconds: float = 6.0
    """Length of each film."""
    min_alpha: float = 0.5
    """Depth is unknown where the splats are less opaque than this."""


def run(inputs: Mapping[str, Path], config: RenderConfig, out: Path, progress: Progress) -> None:
    """Fill `renders/` from the artifacts `photos` and `splat`."""
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    posed = load_posed(inputs["photos"], inputs["splat"], config.long_side)
    gaussians = read_ply(inputs["splat"] / "splat.ply")
    units = "m" if read_cameras(inputs["splat"]).units == "metre" else "units"
    frames = max(2, round(config.fps * config.seconds))
    total = len(posed) + 2 * frames
    for name in ("input", "compare", "depth"):
        (out / name).mkdir()

    depths = []
    for index, view in enumerate(posed):
        seen = render(gaussians, view.camera, view.T_world_camera)
        depths.append(_write_view(out, keys[view.name], view, seen, config.min_alpha, units))
        progress.step(index + 1, total, "view")

    Ts_world_camera = np.stack([view.T_world_camera for view in posed])
    camera = film_camera([view.camera for view in posed])
    films = {
        "path.mp4": paths.interpolated(Ts_world_camera, np.array(depths), frames),
        "orbit.mp4": paths.orbit(Ts_world_camera, np.array(depths), frames),
    }
    for number, (name, poses) in enumerate(films.items()):

        def pictures(poses: np.ndarray = poses, start: int = len(posed) + number * frames) -> Iterator[np.ndarray]:
            for index, T_world_camera in enumerate(poses):
                yield to_8bit(render(gaussians, camera, T_world_camera).image.numpy())
                progress.step(start + index + 1, total, "film frame")

        write_mp4(out / name, pictures(), config.fps)
    progress.fact("film_size", [camera.width, camera.height])
    progress.fact("film_frames", frames)


def render(gaussians: Gaussians, camera: Camera, T_world_camera: Float[np.ndarray, "4 4"]) -> Rendering:
    """One picture on black, without gradients, with the median depth."""
    with torch.no_grad():
        pose = torch.from_numpy(invert_rigid(T_world_camera)).float()
        return rasterize(gaussians, pose, camera, median_depth=True)


def film_camera(cameras: list[Camera]) -> Camera:
    """A camera of even size for films: the shape that most photos have, their median focal length, centred."""
    shapes = [(camera.width, camera.height) for camera in cameras]
    width, height = max(sorted(set(shapes)), key=shapes.count)
    focal = float(np.median([camera.fx for camera in cameras if (camera.width, camera.height) == (width, height)]))
    width, height = width - width % 2, height - height % 2
    return Camera(width, height, focal, focal, width / 2, height / 2)


def to_8bit(image: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """[0, 1] to 0..255, clipped and rounded."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def compared(
    photo: Float[np.ndarray, "H W 3"], rendered: Float[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H 3W 3"]:
    """Photo | render | absolute error (mean of the channels, black = 0, white = 0.5 or more); ignored pixels grey."""
    error = np.abs(photo - np.clip(rendered, 0, 1)).mean(-1, keepdims=True).repeat(3, -1) * 2
    shown = np.where(mask[..., None], error, np.float32(0.25))
    return np.concatenate([to_8bit(photo), to_8bit(rendered), to_8bit(shown)], axis=1)


def depth_picture(depth: Float32[np.ndarray, "H W"], units: str) -> UInt8[np.ndarray, "H+34 W 3"]:
    """Depth in the colours of turbo (near = red), evenly spaced in inverse depth, with a labelled scale beneath.

    The scale spans the 1st to the 99th percentile; unknown pixels are dark grey.
    """
    height, width = depth.shape
    picture = np.full((height + _BAR_PX, width, 3), 40, np.uint8)
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return picture
    near, far = np.percentile(depth[known], [1, 99])
    if far <= near:
        far = near * 1.001
    share = np.zeros(depth.shape)
    share[known] = (1 / depth[known] - 1 / far) / (1 / near - 1 / far)
    picture[:height][known] = _turbo(share)[known]
    ramp = np.linspace(1, 0, width)
    picture[height : height + 14] = _turbo(ramp[None])
    labels = max(2, min(5, width // 90))
    for index in range(labels):
        t = index / (labels - 1)
        text = f"{1 / (1 / near + t * (1 / far - 1 / near)):.3g}" + (f" {units}" if index == labels - 1 else "")
        span = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 1)[0][0]
        x = int(np.clip(t * width - span / 2, 2, width - span - 2))
        cv2.putText(picture, text, (x, height + 28), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (230, 230, 230), 1, cv2.LINE_AA)
    return picture


def write_png(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def _turbo(share: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    return cv2.applyColorMap(np.round(np.clip(share, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]


def _write_view(out: Path, key: str, view: PosedImage, seen: Rendering, min_alpha: float, units: str) -> float:
    """Write one view's pictures and depth; returns its median depth."""
    assert seen.median_depth is not None
    alpha, image = seen.alpha.numpy(), seen.image.numpy()
    opaque = alpha >= min_alpha
    depth = np.where(opaque, seen.median_depth.numpy(), np.float32(np.nan))
    expected = np.where(opaque, seen.depth.numpy() / np.maximum(alpha, np.float32(1e-6)), np.float32(np.nan))
    write_png(out / "input" / f"{key}.png", to_8bit(image))
    write_png(out / "compare" / f"{key}.png", compared(view.image, image, view.mask))
    write_png(out / "depth" / f"{key}.png", depth_picture(depth, units))
    np.savez_compressed(out / "depth" / f"{key}.npz", depth=depth, expected_depth=expected, alpha=alpha)
    return float(np.nanmedian(depth)) if np.isfinite(depth).any() else 1.0
