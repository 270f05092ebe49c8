"""`fewview pictures`: a finished run on pictures to scale, as depth that can be measured, and on one sheet."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from fewview.apps.commands.export import check_run, find_result
from fewview.apps.contact_sheet import contact_sheet
from fewview.apps.conversion import layout_of
from fewview.apps.unfinished import unfinished
from fewview.recon.dag.faults import writing
from fewview.recon.dag.reading import reading, verify
from fewview.recon.depth.artifact import DepthMap
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.depth_files import write_depth_exr, write_depth_png
from fewview.recon.io.images import write_png
from fewview.recon.photos import load_photos

Kind = Literal["plan", "elevations", "depth", "depth-exr", "sheet"]
LARGEST = 16384
"""Of a picture's sides; larger ones many programs refuse."""


@dataclass(frozen=True)
class Arguments:
    """Draw a finished run: plan and elevations to scale, depth that can be measured, a contact sheet."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` wrote."""
    show: tuple[Kind, ...] = ("plan", "elevations", "sheet")
    """`plan`: from above, without perspective; `elevations`: level, to the four sides of the plan (top, right, bottom,
    left), of a room from its middle to the wall; `depth`: of each placed photo, 16-bit PNG in millimetres; `depth-exr`:
    the same as EXR in metres (extra `exr`); `sheet`: all photos, with what became of them."""
    size: int = 2000
    """Long side of plan and elevations, pixels."""
    cut: float = 0.85
    """Share of a room's height above which the plan shows nothing, as the ceiling would hide the rest."""
    to: Path | None = None
    """Folder to write; OUT/pictures if not given. Older ones are overwritten."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview pictures", args=list(argv))


def main(arguments: Arguments) -> int:
    run, to = arguments.run, arguments.to or arguments.run / "pictures"
    check_run(run)
    if not 16 <= arguments.size <= LARGEST:
        raise InputError(f"--size {arguments.size} is not between 16 and {LARGEST}.", "Most screens have about 2000.")
    if not 0 < arguments.cut <= 1:
        raise InputError(f"--cut {arguments.cut:g} is not a share of the room's height.", "Give one above 0, up to 1.")
    show = tuple(dict.fromkeys(arguments.show))
    with writing(to, "--to"):
        to.mkdir(parents=True, exist_ok=True)
        with unfinished(to, "pictures", alone=False) as folder:
            with reading(run):
                if {"plan", "elevations"} & set(show):
                    _draw(arguments, folder)
                if {"depth", "depth-exr"} & set(show):
                    _depth(run, show, folder)
                if "sheet" in show:
                    _sheet(run, folder)
            for entry in sorted(folder.iterdir()):
                entry.replace(to / entry.name)
                print(to / entry.name)
    return 0


def _draw(arguments: Arguments, folder: Path) -> None:
    """Plan and elevations, and `pictures.json` with their scale."""
    from fewview.splatting.export import read_ply
    from fewview.splatting.export.preview import from_everywhere
    from fewview.splatting.orthographic import Box, box_around, elevations, plan, with_scale

    run = arguments.run
    ply = find_result(run, "splat")
    verify(run, "splat")
    cameras = read_cameras(ply.parent)
    gaussians = from_everywhere(read_ply(ply), cameras.views)
    if (run / "layout" / "layout.json").is_file():
        verify(run, "layout")
    layout = layout_of(run)
    if layout is None:
        print("No room is known: the whole scene is drawn, and up is the cameras' mean up.", file=sys.stderr)
        box = box_around(gaussians)
    else:
        low = np.array([*layout.polygon.min(0), layout.floor.height])
        high = np.array([*layout.polygon.max(0), layout.ceiling.height])
        box = Box(layout.R_room_world, low, high, inside=True)
    drawings = {}
    if "plan" in arguments.show:
        drawings["plan.png"] = plan(gaussians, box, arguments.size, arguments.cut)
    if "elevations" in arguments.show:
        drawn = elevations(gaussians, box, arguments.size)
        drawings |= {f"elevation-{side}.png": each for side, each in zip(_SIDES, drawn, strict=True)}
    facts: dict[str, Any] = {"units": cameras.units, "pictures": {}}
    for name, drawing in drawings.items():
        write_png(folder / name, with_scale(drawing, "m" if cameras.units == "metre" else "units"))
        facts["pictures"][name] = {
            "units_per_pixel": drawing.units_per_px,
            "picture_from_world": drawing.T_picture_world.tolist(),
        }
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)
    (folder / "pictures.json").write_text(text + "\n", encoding="utf-8")


_SIDES = ("top", "right", "bottom", "left")
"""Of the plan, in the order of `elevations`."""


def _depth(run: Path, show: Sequence[Kind], folder: Path) -> None:
    if not (run / "depth").is_dir():
        raise InputError(f"{run} holds no depth: its stage has not finished.", "Give the `fewview run` command again.")
    for stage in ("photos", "cameras", "depth"):
        verify(run, stage)
    cameras = read_cameras(run / "cameras")
    if cameras.units != "metre":
        print(
            "The scale is unknown: depth is in scene units, in PNG in thousandths of them. "
            "`--scale` of `fewview run` makes them metres.",
            file=sys.stderr,
        )
    placed = {view.name for view in cameras.views}
    for photo in load_photos(run / "photos"):
        if photo.name in placed:
            depth = DepthMap.load(run / "depth" / f"{photo.key}.npz").depth
            if "depth" in show:
                write_depth_png(folder / f"depth-{photo.key}.png", depth)
            if "depth-exr" in show:
                write_depth_exr(folder / f"depth-{photo.key}.exr", depth)


def _sheet(run: Path, folder: Path) -> None:
    verify(run, "photos")
    cameras = run / "cameras" if (run / "cameras").is_dir() else None
    if cameras:
        verify(run, "cameras")
    write_png(folder / "sheet.png", contact_sheet(run / "photos", cameras))
