"""`fewview export`: copies results out of a finished run, in the formats other tools read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fewview.apps.unfinished import is_unfinished, unfinished
from fewview.recon.dag.faults import writing
from fewview.recon.dag.reading import reading, verify
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.colmap import read_model, write_model
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.io.transforms import write_transforms
from fewview.recon.originals import write_originals

Format = Literal[
    "splat", "spz", "splat32", "preview", "mesh-glb", "mesh-ply", "points", "colmap", "transforms", "video", "ifc"
]


@dataclass(frozen=True)
class Arguments:
    """Copy results out of a finished run, in the formats other tools read."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` wrote."""
    to: Path
    """Folder to write; it must be new or empty."""
    formats: Annotated[tuple[Format, ...], tyro.conf.arg(name="format")] = (
        "splat",
        "mesh-glb",
        "colmap",
        "transforms",
    )
    """What to write. `splat` is the 3DGS PLY, which holds everything; `spz` is Niantic's format, a sixth of its size;
    `splat32` is the `.splat` of web viewers, 32 bytes a Gaussian, without view dependence; `preview` is a small one
    that is moved and scaled into the first picture of such a viewer. `ifc` is the room for building information models
    (extra `ifc`). `colmap` and `transforms` come with the upright
    photos in `images/`."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview export", args=list(argv))


def main(arguments: Arguments) -> int:
    run, to = arguments.run, arguments.to
    check_run(run)
    _check_empty(to)
    formats = tuple(dict.fromkeys(arguments.formats))
    with reading(run):
        found = {name: find_result(run, name) for name in formats}
        for stage in dict.fromkeys(_stages(run, found)):
            verify(run, stage)
    with writing(to, "--to"):
        to.mkdir(parents=True, exist_ok=True)
        with unfinished(to, "export", alone=True) as folder:
            _check_empty(to)  # another export may just have ended
            with reading(run):
                written = _write(run, found, folder)
            for entry in folder.iterdir():
                entry.rename(to / entry.name)  # each result appears whole
    for name, place in written.items():
        print(f"{name}: {to / place}")
    return 0


_PLACES: dict[Format, tuple[str, ...]] = {
    "splat": ("splat/splat.ply",),
    "spz": ("splat/splat.ply",),
    "splat32": ("splat/splat.ply",),
    "preview": ("renders/preview.splat",),
    "mesh-glb": ("mesh/mesh.glb",),
    "mesh-ply": ("mesh/mesh.ply",),
    "points": ("depth/points.ply",),
    # Cameras refined with the splat where there is one, else as mapped.
    "colmap": ("splat/sparse/0", "cameras/sparse/0"),
    "transforms": ("splat/transforms.json", "cameras/transforms.json"),
    "video": ("renders/path.mp4",),
    "ifc": ("layout/layout.json",),
}
"""For each format the places it, or what it is made from, may stand in a run, best first."""
_CONVERTED: dict[Format, str] = {"spz": "splat.spz", "splat32": "splat.splat", "ifc": "room.ifc"}
"""Formats that are made here, and their file."""


def check_run(run: Path) -> None:
    """Raises InputError unless `run` is the folder of a run."""
    if not (run / "manifest.json").is_file():
        raise InputError(
            f"{run} is not the folder of a run (it has no manifest.json).",
            "Name the --out of a `fewview run`.",
        )


def find_result(run: Path, name: Format) -> Path:
    """Where `name`, or what it is made from, stands in a run.

    Raises:
        InputError: the stage that writes it has not finished.
    """
    for place in _PLACES[name]:
        if (run / place).exists():
            return run / place
    stage = _PLACES[name][0].split("/")[0]
    raise InputError(
        f"{run} holds no {name}: its stage `{stage}` has not finished.",
        "Give the `fewview run` command again; it continues where it stopped.",
    )


def _check_empty(to: Path) -> None:
    """Raises InputError where `to` holds more than exports that did not come to their end."""
    if to.exists() and (not to.is_dir() or not all(is_unfinished(entry, "export") for entry in to.iterdir())):
        raise InputError(f"{to} is not an empty folder.", "Name a new folder with --to: nothing is overwritten.")


def _stages(run: Path, found: Mapping[Format, Path]) -> Iterator[str]:
    """The stages whose artifacts are read."""
    for name, path in found.items():
        yield path.relative_to(run).parts[0]
        if name in ("colmap", "transforms"):
            yield "photos"


def _write(run: Path, found: Mapping[Format, Path], to: Path) -> dict[Format, str]:
    """Writes every format into `to`; where each is, relative to it."""
    if {"colmap", "transforms"} & found.keys():
        _write_cameras(run, to, tuple(found))
    places = {name: _CONVERTED.get(name, _PLACES[name][0].split("/", 1)[1]) for name in found}
    for name, path in found.items():
        if name in _CONVERTED:
            _convert(path, to / places[name])
        elif name not in ("colmap", "transforms"):
            shutil.copy2(path, to / places[name])
    return places


def _convert(source: Path, place: Path) -> None:
    # Loading the layout, or torch, takes a second, which the other formats can do without.
    if place.suffix == ".ifc":
        from fewview.layout.ifc import export_ifc

        export_ifc(source, place)
        return
    from fewview.splatting.export import read_ply, write_splat, write_spz

    (write_spz if place.suffix == ".spz" else write_splat)(place, read_ply(source))


def _write_cameras(run: Path, to: Path, formats: tuple[Format, ...]) -> None:
    """The cameras with their photos: names and sizes are those of the photos written to `images/`."""
    folder = find_result(run, "transforms").parent
    file = run / "manifest.json"
    try:
        originals = [Path(source["path"]) for source in json.loads(read_text(file))["sources"]["photos"]]
    except MALFORMED as error:
        raise InputError(f"{file} is damaged: {error!r}.", "Give the `fewview run` command again.") from error
    written = write_originals(run / "photos", originals, read_cameras(folder).views, to / "images")
    if "colmap" in formats:
        model = to / "sparse" / "0"
        model.mkdir(parents=True)
        views, points = read_model(folder / "sparse" / "0")
        renamed = [replace(view, name=written[view.name].name, camera=written[view.name].camera) for view in views]
        scales = [new.camera.width / view.camera.width for new, view in zip(renamed, views, strict=True)]
        tracks = [[(i, xy * scales[i]) for i, xy in track] for track in points.tracks]
        write_model(model, renamed, replace(points, tracks=tracks))
    if "transforms" in formats:
        frames = [replace(view, name=f"images/{view.name}") for view in written.values()]
        write_transforms(to / "transforms.json", frames)
