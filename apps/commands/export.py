"""`fewview export`: copies results out of a finished run, in the formats other tools read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fewview.apps.conversion import SPLATS, Axes, axes_of, convert_mesh, convert_points, convert_splats, units_of
from fewview.apps.unfinished import is_unfinished, unfinished
from fewview.recon.dag.faults import writing
from fewview.recon.dag.reading import reading, verify
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import transform
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.colmap import read_model, write_model
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.io.transforms import write_transforms
from fewview.recon.originals import write_originals
from fewview.recon.scene import View

Format = Literal[
    "splat", "compressed", "spz", "sog", "splat-glb", "splat-usd", "splat32", "preview",
    "mesh-glb", "mesh-ply", "mesh-usdz", "room-usdz", "ifc", "points", "las", "e57",
    "colmap", "transforms", "video",
]  # fmt: skip


@dataclass(frozen=True)
class Arguments:
    """Copy results out of a finished run, in the formats other tools read; `--list` says what each is for."""

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
    """What to write: see `fewview export --list`."""
    up: Literal["z"] | None = None
    """`z` for CAD and GIS: z up and x along the walls, in files that are free to choose. y points down unless given.
    GLB and SPZ have y up, as they ask for, and LAS and E57 z up, in any case."""
    floor_at_zero: tyro.conf.FlagCreatePairsOff[bool] = False
    """Put the origin on the floor of the room that was found."""


@dataclass(frozen=True)
class Listing:
    """`fewview export --list`."""


def parse(argv: Sequence[str]) -> Arguments | Listing:
    if list(argv) == ["--list"]:
        return Listing()
    return tyro.cli(Arguments, prog="fewview export", args=list(argv))


def main(arguments: Arguments | Listing) -> int:
    if isinstance(arguments, Listing):
        print(listing())
        return 0
    run, to = arguments.run, arguments.to
    check_run(run)
    _check_empty(to)
    formats = tuple(dict.fromkeys(arguments.formats))
    with reading(run):
        found = {name: find_result(run, name) for name in formats}
        for stage in dict.fromkeys(_stages(run, found)):
            verify(run, stage)
        if (arguments.up or arguments.floor_at_zero) and (run / "layout").exists():
            verify(run, "layout")
        axes = axes_of(run, arguments.up == "z", arguments.floor_at_zero)
    with writing(to, "--to"):
        to.mkdir(parents=True, exist_ok=True)
        with unfinished(to, "export", alone=True) as folder:
            _check_empty(to)  # another export may just have ended
            with reading(run):
                written = _write(run, found, folder, axes)
            for entry in folder.iterdir():
                entry.rename(to / entry.name)  # each result appears whole
    for name, place in written.items():
        print(f"{name}: {to / place}")
    return 0


@dataclass(frozen=True)
class _Kind:
    """A format."""

    places: tuple[str, ...]
    """Where it, or what it is made from, may stand in a run, best first."""
    file: str
    """What is written."""
    use: str
    """What it is for, in one line."""
    made: bool = True
    """Another format than the run has; else it is copied."""


_KINDS: dict[Format, _Kind] = {
    "splat": _Kind(("splat/splat.ply",), "splat.ply", "3DGS PLY: everything, unrounded; any splat program", made=False),
    "compressed": _Kind(("splat/splat.ply",), "splat.compressed.ply", "a quarter of the size; SuperSplat, PlayCanvas"),
    "spz": _Kind(("splat/splat.ply",), "splat.spz", "SPZ 4, a sixth of the size; phones, engines, Blender"),
    "sog": _Kind(("splat/splat.ply",), "splat.sog", "a sixth or less; web pages with PlayCanvas or SuperSplat"),
    "splat-glb": _Kind(
        ("splat/splat.ply",), "splat.glb", "glTF with KHR_gaussian_splatting; three.js, Babylon.js, PlayCanvas, Cesium"
    ),
    "splat-usd": _Kind(
        ("splat/splat.ply",), "splat.usdc", "OpenUSD 26 particle field; film and simulation (extra usd)"
    ),
    "splat32": _Kind(("splat/splat.ply",), "splat.splat", "32 bytes a Gaussian, no view dependence; old web viewers"),
    "preview": _Kind(
        ("renders/preview.splat",), "preview.splat", "small, moved into the first picture of a web viewer", made=False
    ),
    "mesh-glb": _Kind(
        ("mesh/mesh.glb",), "mesh.glb", "coloured mesh; Blender, browsers, Windows, game engines", made=False
    ),
    "mesh-ply": _Kind(("mesh/mesh.ply",), "mesh.ply", "coloured mesh; MeshLab, CloudCompare", made=False),
    "mesh-usdz": _Kind(("mesh/mesh.glb",), "mesh.usdz", "coloured mesh; iPhones, usdview, Omniverse (extra usd)"),
    "room-usdz": _Kind(("layout/room.glb",), "room.usdz", "the empty room, coloured; as mesh-usdz (extra usd)"),
    "ifc": _Kind(("layout/layout.json",), "room.ifc", "IFC4: the room for building models (extra ifc)"),
    "points": _Kind(("depth/points.ply",), "points.ply", "surface points; MeshLab, CloudCompare, NumPy", made=False),
    "las": _Kind(("depth/points.ply",), "points.las", "surface points, LAS 1.4; GIS and survey (extra survey)"),
    "e57": _Kind(("depth/points.ply",), "points.e57", "surface points; laser scanners' programs, CAD (extra survey)"),
    # Cameras refined with the splat where there is one, else as mapped.
    "colmap": _Kind(
        ("splat/sparse/0", "cameras/sparse/0"),
        "sparse/0",
        "cameras and points, photos in images/; COLMAP, 3DGS trainers",
    ),
    "transforms": _Kind(
        ("splat/transforms.json", "cameras/transforms.json"),
        "transforms.json",
        "cameras, photos in images/; nerfstudio, Blender add-ons",
    ),
    "video": _Kind(("renders/path.mp4",), "path.mp4", "film through the photos; anything", made=False),
}


_UNITS_OF: dict[Format, str] = {
    **dict.fromkeys(("mesh-glb", "mesh-ply", "mesh-usdz"), "splat"),
    **dict.fromkeys(("room-usdz", "points", "las", "e57"), "cameras"),
}
"""The stage whose cameras say the units, where it is not the format's own."""


def listing() -> str:
    """What each format is for, a line each."""
    width, file = max(map(len, _KINDS)), max(len(kind.file) for kind in _KINDS.values())
    return "\n".join(f"{name:<{width}}  {kind.file:<{file}}  {kind.use}" for name, kind in _KINDS.items())


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
    for place in _KINDS[name].places:
        if (run / place).exists():
            return run / place
    stage = _KINDS[name].places[0].split("/")[0]
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
        if name in _UNITS_OF:
            yield _UNITS_OF[name]


def _write(run: Path, found: Mapping[Format, Path], to: Path, axes: Axes) -> dict[Format, str]:
    """Writes every format into `to`; where each is, relative to it."""
    if {"colmap", "transforms"} & found.keys():
        _write_cameras(run, to, tuple(found), axes)
    for name, path in found.items():
        if name not in ("colmap", "transforms"):
            _write_one(name, path, to / _KINDS[name].file, axes)
    return {name: _KINDS[name].file for name in found}


def _write_one(name: Format, source: Path, place: Path, axes: Axes) -> None:
    if name in ("preview", "video") or (axes.unchanged and not _KINDS[name].made):
        shutil.copy2(source, place)
    elif name == "ifc":
        # Loading the layout, or torch, takes a second, which the other formats can do without.
        from fewview.layout.ifc import export_ifc

        export_ifc(source, place)
    elif name in SPLATS:
        convert_splats(source, name, place, axes)
    else:
        convert = convert_points if source.parent.name == "depth" else convert_mesh
        convert(source, place, axes, units_of(source.parents[1] / _UNITS_OF[name]))


def _write_cameras(run: Path, to: Path, formats: tuple[Format, ...], axes: Axes) -> None:
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
        renamed = [
            replace(_moved(view, axes), name=written[view.name].name, camera=written[view.name].camera)
            for view in views
        ]
        scales = [new.camera.width / view.camera.width for new, view in zip(renamed, views, strict=True)]
        tracks = [[(i, xy * scales[i]) for i, xy in track] for track in points.tracks]
        xyz = transform(axes.T_file_world, points.xyz)
        write_model(model, renamed, replace(points, xyz=xyz, tracks=tracks))
    if "transforms" in formats:
        frames = [replace(_moved(view, axes), name=f"images/{view.name}") for view in written.values()]
        write_transforms(to / "transforms.json", frames)


def _moved(view: View, axes: Axes) -> View:
    return replace(view, T_world_camera=axes.T_file_world @ view.T_world_camera)
