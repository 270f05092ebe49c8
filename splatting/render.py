"""Stage `renders`: what the splats look like from the photos' cameras, two short films, and a preview for the web."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.images import write_png
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage
from fewview.recon.views import load_posed
from fewview.splatting import paths
from fewview.splatting.artifact import PhotoExposure, read_exposures
from fewview.splatting.config import RenderConfig, RenderFacts
from fewview.splatting.export import read_ply, write_splat
from fewview.splatting.export.preview import preview
from fewview.splatting.film import Rendered, film_camera, picture, render
from fewview.splatting.pictures import compared, depth_picture, depth_range, normal_picture, to_8bit
from fewview.splatting.video import write_mp4

_FOLDERS = ("input", "compare", "depth", "expected_depth", "normal")


def run(inputs: Mapping[str, Path], config: RenderConfig, out: Path, progress: Progress) -> None:
    """Fill `renders/` from the artifacts `photos` and `splat`."""
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    posed = load_posed(inputs["photos"], inputs["splat"], config.long_side)
    gaussians = read_ply(inputs["splat"] / "splat.ply")
    exposures = read_exposures(inputs["splat"])
    cameras = read_cameras(inputs["splat"])
    units = "m" if cameras.units == "metre" else "units"
    length = max(2, round(config.fps * config.seconds))
    total = len(posed) + 2 * length
    for name in _FOLDERS:
        (out / name).mkdir()

    depths = []
    for index, view in enumerate(posed):
        seen = render(gaussians, view.camera, view.T_world_camera, config.min_alpha)
        _write_view(out, keys[view.name], view, exposures[view.name], seen, units)
        known = seen.median_depth[np.isfinite(seen.median_depth)]
        depths.append(float(np.median(known)) if known.size else 1.0)
        progress.step(index + 1, total, "view")

    Ts_world_camera = np.stack([view.T_world_camera for view in posed])
    camera = film_camera([view.camera for view in posed])
    films = {
        "path.mp4": paths.interpolated(Ts_world_camera, np.array(depths), length),
        "orbit.mp4": paths.orbit(Ts_world_camera, np.array(depths), length),
    }
    done = len(posed)
    for name, poses in films.items():

        def shots(poses: np.ndarray = poses, done: int = done) -> Iterator[np.ndarray]:
            for index, T_world_camera in enumerate(poses):
                yield picture(gaussians, camera, T_world_camera)
                progress.step(done + index + 1, total, "film frame")

        write_mp4(out / name, shots(), config.fps)
        done += length
    write_splat(out / "preview.splat", preview(gaussians, cameras.views, config.preview_budget))
    progress.tell(RenderFacts((camera.width, camera.height), length))


def _write_view(out: Path, key: str, view: PosedImage, exposure: PhotoExposure, seen: Rendered, units: str) -> None:
    span = depth_range(seen.median_depth)
    pictures = {
        "input": to_8bit(seen.image),
        # At the photo's own exposure: how one photo is brighter than the others is no error of the scene.
        "compare": compared(view.image, exposure.gain * seen.image + exposure.offset, view.mask),
        "depth": depth_picture(seen.median_depth, units, span),
        "expected_depth": depth_picture(seen.expected_depth, units, span),
        "normal": normal_picture(seen.normal),
    }
    for name, image in pictures.items():
        write_png(out / name / f"{key}.png", image)
    np.savez_compressed(
        out / "depth" / f"{key}.npz",
        depth=seen.median_depth,
        expected_depth=seen.expected_depth,
        alpha=seen.alpha,
        normal=seen.normal.astype(np.float16),
    )
