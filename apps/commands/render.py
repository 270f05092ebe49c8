"""`fewview render`: films a finished run along a camera path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Float32, UInt8
from rich.console import Console
from rich.progress import track

from fewview.apps.commands.export import check_run, find_result
from fewview.apps.unfinished import unfinished
from fewview.recon.dag.faults import writing
from fewview.recon.dag.reading import reading, verify
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.scene import View
from fewview.splatting import paths
from fewview.splatting.camera_path import CameraPath, read_camera_path, with_fov
from fewview.splatting.export import read_ply
from fewview.splatting.film import Show, film_camera, picture, reframed, render
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.pictures import depth_range
from fewview.splatting.video import write_mp4

PATHS = {"interpolate": paths.interpolated, "orbit": paths.orbit, "spiral": paths.spiral}
LONG_SIDE = 1024
FPS = 24
SECONDS = 6.0
LONGEST_S = 3600
LARGEST = 8192
"""Of a film's sides: H.264 players take no more."""


@dataclass(frozen=True)
class Arguments:
    """Film a finished run along a camera path, as MP4."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` wrote."""
    path: str = "interpolate"
    """`interpolate` through the photos, `orbit` about what they show, `spiral`, or a JSON file of cameras (ours or
    nerfstudio's, see docs/camera-paths.md)."""
    show: Show = "rgb"
    """What is filmed."""
    size: str | None = None
    """Width and height in pixels, WxH, both even; the file's own, or the photos' shape at a long side of 1024."""
    fps: int | None = None
    """Frames a second; the file's own, or 24."""
    seconds: float | None = None
    """Length of the film, 6 if not given; a file has its own length."""
    to: Path | None = None
    """The film; OUT/films/<path>[-<show>].mp4 if not given. An older one is overwritten."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview render", args=list(argv))


def main(arguments: Arguments) -> int:
    run = arguments.run
    check_run(run)
    ply = find_result(run, "splat")
    _check_pace(arguments)
    given = None if arguments.path in PATHS else _read_file(arguments)
    size = _size(arguments.size) or (given and given.size)
    fps = arguments.fps or (given and given.fps) or FPS
    to = _destination(arguments)

    with reading(run):
        verify(run, "splat")
        gaussians, views = read_ply(ply), read_cameras(ply.parent).views
    depths = [_depths(gaussians, view) for view in views]
    camera = film_camera([view.camera.pinhole().fitted(LONG_SIDE) for view in views])
    if size:
        camera = reframed(camera, *size)
    path = given or _generated(arguments, views, depths, fps)
    span = depth_range(np.concatenate(depths)) or (1.0, 2.0)

    def pictures() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        shots = list(zip(path.Ts_world_camera, path.fov_deg, strict=True))
        for T_world_camera, fov_deg in track(shots, "Rendering", console=Console(stderr=True)):
            yield picture(gaussians, with_fov(camera, fov_deg), T_world_camera, arguments.show, span)

    with writing(to.parent, "--to"):
        to.parent.mkdir(parents=True, exist_ok=True)
        # An older film stays whole until this one is.
        with unfinished(to.parent, "render", alone=False) as folder:
            write_mp4(folder / to.name, pictures(), fps)
            (folder / to.name).replace(to)
    print(to)
    return 0


def _read_file(arguments: Arguments) -> CameraPath:
    path = Path(arguments.path)
    if not path.exists():
        names = ", ".join(PATHS)
        raise InputError(f"--path {path} is none of {names}, and no such file exists.", "Name one of them, or a file.")
    if arguments.seconds is not None:
        raise InputError("--seconds has no say over a file of cameras: it shows each once.", "Give --fps instead.")
    cameras = read_camera_path(path)
    if cameras.size and not arguments.size:
        _check_size(*cameras.size, where=str(path))
    return cameras


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if parts is None:
        raise InputError(f"--size {text} is not WxH.", "Give two whole numbers, such as 1280x720.")
    width, height = int(parts[1]), int(parts[2])
    _check_size(width, height, where="--size")
    return width, height


def _check_size(width: int, height: int, where: str) -> None:
    if width % 2 or height % 2 or not (16 <= width <= LARGEST and 16 <= height <= LARGEST):
        raise InputError(
            f"{where}: {width}x{height} is no size for an MP4.", f"Both numbers must be even, from 16 to {LARGEST}."
        )


def _check_pace(arguments: Arguments) -> None:
    if arguments.fps is not None and not 1 <= arguments.fps <= 1000:
        raise InputError(f"--fps {arguments.fps} is not between 1 and 1000.", "Most films have 24 or 30.")
    if arguments.seconds is not None and not 0 < arguments.seconds <= LONGEST_S:
        raise InputError(f"--seconds {arguments.seconds:g} is not between 0 and {LONGEST_S}.", "Most films have 6.")


def _destination(arguments: Arguments) -> Path:
    shown = "" if arguments.show == "rgb" else f"-{arguments.show}"
    to = arguments.to or arguments.run / "films" / f"{Path(arguments.path).stem}{shown}.mp4"
    if to.suffix != ".mp4":
        raise InputError(f"--to {to} is not an .mp4 file.", "Name one, such as film.mp4.")
    return to


def _depths(gaussians: Gaussians, view: View) -> Float32[np.ndarray, " P"]:
    """The known median depths that a view sees."""
    depth = render(gaussians, view.camera.pinhole().fitted(256), view.T_world_camera).median_depth
    return depth[np.isfinite(depth)]


def _generated(
    arguments: Arguments, views: Sequence[View], depths: Sequence[Float32[np.ndarray, " P"]], fps: int
) -> CameraPath:
    frames = max(2, round(fps * (SECONDS if arguments.seconds is None else arguments.seconds)))
    typical = np.array([np.median(depth) if depth.size else 1.0 for depth in depths])
    poses = np.stack([view.T_world_camera for view in views])
    return CameraPath(PATHS[arguments.path](poses, typical, frames), (None,) * frames, None, None)
