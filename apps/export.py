"""`fewview export`: copies results out of a finished run, in the formats other tools read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon.errors import InputError

Format = Literal["splat", "mesh-glb", "mesh-ply", "points", "colmap", "transforms", "video"]

FILES: dict[Format, tuple[str, ...]] = {
    "splat": ("splat/splat.ply",),
    "mesh-glb": ("mesh/mesh.glb",),
    "mesh-ply": ("mesh/mesh.ply",),
    "points": ("depth/points.ply",),
    # Cameras refined with the splat where there is one, else as mapped.
    "colmap": ("splat/sparse", "cameras/sparse"),
    "transforms": ("splat/transforms.json", "cameras/transforms.json"),
    "video": ("renders/path.mp4",),
}
"""For each format the places it may stand in a run, best first."""


@dataclass(frozen=True)
class Arguments:
    """Copy results out of a finished run, in the formats other tools read."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` wrote."""
    to: Path
    """Folder to copy into (made if need be; existing files are not overwritten)."""
    formats: Annotated[tuple[Format, ...], tyro.conf.arg(name="format")] = ("splat", "mesh-glb", "colmap", "transforms")
    """What to copy."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview export", args=list(argv))


def main(arguments: Arguments) -> int:
    if not (arguments.run / "manifest.json").is_file():
        raise InputError(f"{arguments.run} is not the folder of a run (it has no manifest.json).", "Name the --out of a `fewview run`.")
    # Everything is looked up before anything is copied: an export is whole or refused.
    found = {name: _source(arguments.run, name) for name in dict.fromkeys(arguments.formats)}
    for source in found.values():
        target = arguments.to / source.name
        if target.exists():
            raise InputError(f"{target} exists already.", "Name another --to, or move it away: nothing is overwritten.")
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name, source in found.items():
        target = arguments.to / source.name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        print(f"{name}: {target}")
    return 0


def _source(run: Path, name: Format) -> Path:
    for place in FILES[name]:
        if (run / place).exists():
            return run / place
    stage = FILES[name][0].split("/")[0]
    raise InputError(f"{run} holds no {name}: its stage `{stage}` has not finished.", "Give the `fewview run` command again; it continues where it stopped.")
