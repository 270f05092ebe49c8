"""Reads cameras that the user already has: COLMAP models, `transforms.json`, `cameras.json` of fewview."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io.transforms import SizeOf, read_transforms
from fewview.recon.scale import Scale
from fewview.recon.scene import View

_COLMAP = ("cameras", "images", "points3D", "rigs", "frames")
_FOLDERS = (".", "sparse/0", "sparse", "cameras")
"""Where a folder that holds a model may hold it."""


@dataclass(frozen=True)
class KnownCameras:
    """Views as their file names them, with the units of their positions."""

    views: list[View]
    scale: Scale


def model_files(path: Path) -> tuple[Path, ...]:
    """The files that `read_known` reads.

    Raises:
        InputError: `path` is missing, or holds nothing that can be read.
    """
    if path.is_file() and path.suffix == ".json":
        return (path,)
    if path.is_file() and path.stem in _COLMAP and path.suffix in (".bin", ".txt"):
        path = path.parent
    if not path.exists():
        raise InputError(f"There are no cameras at {path}.", "Check the path.")
    for folder in (path / name for name in _FOLDERS):
        for name in ("cameras.json", "transforms.json"):
            if (folder / name).is_file():
                return (folder / name,)
        for suffix in (".bin", ".txt"):
            files = tuple(file for stem in _COLMAP if (file := folder / f"{stem}{suffix}").is_file())
            if files and files[0].stem == "cameras":
                return files
    raise InputError(
        f"{path} holds no cameras that fewview can read.",
        "Name a COLMAP model (cameras.bin or cameras.txt), a transforms.json or a cameras.json.",
    )


def read_known(path: Path, size_of: SizeOf | None = None) -> KnownCameras:
    """Read the cameras at `path`: a file, or a folder that holds them.

    Args:
        size_of: see `fewview.recon.io.transforms.read_transforms`.

    Raises:
        InputError: `path` is missing or not readable as cameras.
    """
    from fewview.recon.io.cameras import read_cameras
    from fewview.recon.io.colmap import read_model  # pycolmap takes a second to import

    file = model_files(path)[0]
    nothing = Scale("unknown", "none: the given cameras do not state their units")
    if file.suffix != ".json":
        return KnownCameras(read_model(file.parent)[0], nothing)
    if file.name == "cameras.json":
        cameras = read_cameras(file.parent)
        return KnownCameras(cameras.views, cameras.scale)
    return KnownCameras(read_transforms(file, size_of), nothing)
