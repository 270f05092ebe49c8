"""The stage `layout`: photos, cameras and depth in, a room's plan and shell out (docs/artifacts.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fewview.layout import LayoutConfig, LayoutFacts
from fewview.layout.document import write_layout
from fewview.layout.doubt import NoRoomError
from fewview.layout.dxf import write_dxf
from fewview.layout.estimate import estimate, upright_surfaces
from fewview.layout.glb import write_room
from fewview.layout.heights import Height, doors_of, guess, heights_of
from fewview.layout.hints import weigh
from fewview.layout.lines import refine
from fewview.layout.measures import measure
from fewview.layout.model import RoomLayout
from fewview.layout.openings import find_openings
from fewview.layout.overlay import draw
from fewview.layout.surfaces import DepthView
from fewview.layout.svg import write_svg
from fewview.recon.depth.artifact import DepthMap
from fewview.recon.errors import ReconstructionError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scale import PROBABILITY, Scale
from fewview.recon.scene import PosedImage
from fewview.recon.views import load_posed

_AFTER_LENGTHS = f"±: the truth lies within with a probability of {PROBABILITY:g}; ?: it ends where nobody saw."


def run(inputs: Mapping[str, Path], config: LayoutConfig, out: Path, progress: Progress) -> None:
    """Find the room that the photos show, or say that they show none.

    Args:
        inputs: folders of `photos`, `cameras` and `depth`.

    Raises:
        InputError: an input folder is incomplete, or a hint is not in its format.
    """
    cameras = read_cameras(inputs["cameras"])
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    photos = load_posed(inputs["photos"], inputs["cameras"], config.long_side)
    depths = [read_depth(inputs["depth"] / f"{keys[photo.name]}.npz", photo) for photo in photos]
    sizes = {view.name: (view.camera.width, view.camera.height) for view in cameras.views}
    weighed, hinted = weigh(depths, [sizes[photo.name] for photo in photos], config.sources())
    if config.hints is not None:
        progress.note(f"Hints are used for {hinted} of {len(photos)} photos.")
    layout, reason, scale = find_room(weighed, photos, cameras, progress)
    small = [_resized(photo, depth) for photo, depth in zip(photos, depths, strict=True)]
    write_layout(out, layout, reason, scale, small, [keys[photo.name] for photo in photos])
    progress.tell(LayoutFacts(room=layout is not None, reason=reason))
    if layout is None:
        progress.note(f"These photos show no room: {reason}. There is no plan.")
        return
    notes = [*explained(scale), *unseen(layout)]
    write_svg(out / "floorplan.svg", layout, scale, notes)
    write_dxf(out / "floorplan.dxf", layout, scale, notes)
    write_room(out / "room.glb", layout, scale, photos, depths)
    (out / "overlays").mkdir()
    for index, photo in enumerate(photos):
        Image.fromarray(draw(layout, photo)).save(out / "overlays" / f"{keys[photo.name]}.jpg", quality=92)
        progress.step(index + 1, len(photos), "overlay")
    found = measure(layout, scale)
    progress.tell(
        LayoutFacts(
            walls=len(layout.walls),
            inferred_walls=sum(not wall.observed for wall in layout.walls),
            area_m2=round(found.area.value, 4),
            area_spread=found.area.spread,
            height_m=round(found.height.value, 4),
            height_spread=found.height.spread,
            metre=scale.metre,
            scale_source=scale.source,
            scale_interval=scale.interval,
            scale_guess=scale.guess,
        )
    )
    if scale.guess:
        progress.note(scale.sentence)


def find_room(
    depths: Sequence[DepthView], photos: Sequence[PosedImage], cameras: CameraSet, progress: Progress
) -> tuple[RoomLayout | None, str | None, Scale]:
    """The layout in the units of the scene; or None and why; and what is known of the scale.

    Args:
        depths, photos: of the same views.
    """
    scale = cameras.scale
    heights: list[Height] = []
    try:
        surfaces, R = upright_surfaces(depths, photos, progress)
        if scale.units != "metre":
            heights = heights_of(surfaces)
            scale = guess(heights)
        layout = estimate(surfaces.scaled(1 / scale.metre), R)
        views = [depth.transformed(np.eye(3), 1 / scale.metre) for depth in depths]
        posed = [replace(p, T_world_camera=v.T_world_camera) for p, v in zip(photos, views, strict=True)]
        layout = refine(layout, views, posed)
        layout = find_openings(layout, views).scaled(scale.metre)
    except (NoRoomError, ReconstructionError) as error:
        return None, str(error), cameras.scale
    return layout, None, guess([*heights, *doors_of(layout)]) if heights else scale


def explained(scale: Scale) -> list[str]:
    """What the plan says of its lengths."""
    told = f"Scale: {scale.source}"
    return [told] if scale.interval is None else [f"{told}; {scale.spread}", _AFTER_LENGTHS]


def unseen(layout: RoomLayout) -> list[str]:
    """What the plan says of walls that no photo shows, if there are any."""
    numbers = [str(number) for number, wall in enumerate(layout.walls, 1) if not wall.observed]
    if not numbers:
        return []
    walls = f"wall {numbers[0]} was" if len(numbers) == 1 else f"walls {', '.join(numbers)} were"
    return [f"Dashed: {walls} not seen; where the room ends there, and so its area, is a guess."]


def read_depth(path: Path, photo: PosedImage) -> DepthView:
    """The depth map of one photo (any size) from a `depth` artifact."""
    seen = DepthMap.load(path)
    depth, confidence = seen.depth.astype(np.float64), seen.confidence.astype(np.float64)
    height, width = depth.shape
    return DepthView(photo.name, photo.camera.resized(width, height), photo.T_world_camera, depth, confidence)


def _resized(photo: PosedImage, depth: DepthView) -> PosedImage:
    """The photo with the camera of its depth map (masks and depth are written at that size)."""
    return PosedImage(photo.name, depth.camera, photo.T_world_camera, photo.image, photo.mask)
