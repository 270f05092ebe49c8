"""`fewview benchmark --structured3d`: room layouts against Structured3D's truth, from photos alone or from depth."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from PIL import Image
from rich.console import Console

from fewview.apps.benchmarks.room_scores import Estimate, mean, score
from fewview.apps.commands.run import reconstruct
from fewview.apps.options import PresetName, StageOptions, parse_tiered, stage_options
from fewview.apps.output import deliver
from fewview.apps.pipeline import PipelineConfig
from fewview.data.structured3d import RoomFolder, find_rooms
from fewview.data.structured3d.images import read_depth
from fewview.data.structured3d.scenes import PHOTO
from fewview.layout.document import read_layout
from fewview.layout.stage import find_room
from fewview.layout.surfaces import DepthView
from fewview.recon.errors import ReconstructionError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class Arguments:
    """Measure room layouts on rooms in Structured3D's format."""

    structured3d: Path
    """Folder that holds scene_00000 and so on."""
    options: Annotated[PipelineConfig, tyro.conf.arg(name="")]
    """Options of the stages."""
    preset: PresetName = "default"
    """Where the options of the stages start from."""
    json: Path | None = None
    """File for the figures; standard output if not given."""
    source: Annotated[Literal["photos", "depth"], tyro.conf.arg(name="from")] = "photos"
    """`photos`: the whole pipeline, without any truth. `depth`: the layout alone, from true cameras and depth."""
    out: Path = Path("out/structured3d")
    """Folder for the runs from photos."""
    depth_noise: float = 0.01
    """`--from depth`: relative error of every pixel (standard deviation)."""
    depth_bias: float = 0.02
    """`--from depth`: relative error of every photo's whole depth map, of random sign."""


def parse(argv: Sequence[str]) -> Arguments:
    chosen = stage_options(argv)
    defaults = Arguments(structured3d=tyro.MISSING, options=chosen.options, preset=chosen.preset)
    return parse_tiered(Arguments, "fewview benchmark", argv, defaults)


def main(arguments: Arguments) -> int:
    console = Console(stderr=True)
    scores = []
    for room in find_rooms(arguments.structured3d):
        if arguments.source == "depth":
            estimate, seconds = from_depth(room, arguments.depth_noise, arguments.depth_bias)
        else:
            estimate, seconds = from_photos(room, arguments, console)
        scores.append(score(room, estimate) | {"seconds": seconds})
        console.print(_line(scores[-1]), highlight=False)
    figures: dict[str, Any] = {"from": arguments.source, "overall": mean(scores), "rooms": scores}
    if arguments.source == "depth":
        figures |= {"depth_noise": arguments.depth_noise, "depth_bias": arguments.depth_bias}
    deliver(json.dumps(figures, indent=1, sort_keys=True), arguments.json)
    console.print("overall  " + _line(figures["overall"] | {"room": f"{len(scores)} rooms"}), highlight=False)
    return 0


def from_depth(room: RoomFolder, noise: float, bias: float) -> tuple[Estimate, float]:
    """The layout from photos, true cameras and depth with errors (seeded by the scene's number), and its seconds."""
    views = room.views()
    rng = np.random.default_rng(room.scene)
    depths, photos = [], []
    for view, folder in zip(views, room.view_folders, strict=True):
        depth = read_depth(folder / "depth.png", view.camera)
        depth = depth * (1 + rng.choice([-bias, bias])) * (1 + noise * rng.standard_normal(depth.shape))
        depths.append(DepthView(view.name, view.camera, view.T_world_camera, depth, np.ones_like(depth)))
        photo = np.asarray(Image.open(folder / PHOTO).convert("RGB"), np.float32) / 255
        photos.append(PosedImage(view.name, view.camera, view.T_world_camera, photo, np.ones(depth.shape, bool)))
    start = time.perf_counter()
    layout, *_ = find_room(depths, photos, CameraSet(views, units="metre"), LogProgress())
    return Estimate(layout, views), time.perf_counter() - start


def from_photos(room: RoomFolder, arguments: Arguments, console: Console) -> tuple[Estimate, float]:
    """The layout and cameras of a whole run on the photos, of which nothing else is told, and its seconds."""
    out = arguments.out / room.name
    options = StageOptions(preset=arguments.preset, until="layout", options=arguments.options)
    start = time.perf_counter()
    try:
        reconstruct(tuple(room.photos), out, options, console)
    except ReconstructionError as error:
        console.print(f"{room.name}: {error}", markup=False)
        if not (out / "cameras" / "cameras.json").is_file():
            return Estimate(None, [None] * len(room.photos)), time.perf_counter() - start
    found = {view.name: view for view in read_cameras(out / "cameras").views}
    # The photos of all views have one name: they are told apart by their order.
    names = [photo.name for photo in load_photos(out / "photos", excluded=True)]
    layout = read_layout(out / "layout" / "layout.json") if (out / "layout").is_dir() else None
    return Estimate(layout, [found.get(name) for name in names]), time.perf_counter() - start


def _line(figures: dict[str, Any]) -> str:
    first, openings = next(iter(figures["precision"])), figures["openings"]
    return (
        f"{figures['room']}  P {figures['precision'][first]:.3f}  R {figures['recall'][first]:.3f}  "
        f"floor {figures['floor_iou']:.3f}  IoU {figures['iou']:.3f}  PE {figures['pixel_error']:.3f}  "
        f"EE {figures['edge_error']:.2f}  RMSE {figures['depth_rmse_m']:.3f}  RRA {figures['rra15']:.2f}  "
        f"RTA {figures['rta15']:.2f}  openings {openings['right']} of {openings['true']}, {openings['found']} found  "
        f"{figures['seconds']:.1f} s"
    )
