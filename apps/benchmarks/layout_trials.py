"""Rooms of known shape whose layouts are estimated from disturbed true depth, and what is no room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fewview.data.gallery import Room, generate
from fewview.layout import metrics
from fewview.layout.model import RoomLayout
from fewview.layout.stage import find_room
from fewview.layout.surfaces import DepthView
from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from fewview.recon.scene import PosedImage

_BIAS, _NOISE = 0.02, 0.01
"""Of depth: of a whole view, and of each pixel."""
_UNKNOWN_SCALE = 0.37
"""Scene units a metre, of the room whose scale is not told."""
_PLANE = (0.15, 10.0)
"""Metres and degrees within which a plane is right."""


@dataclass(frozen=True)
class _Scene:
    truth: Room | None
    """None: what is seen is no room."""
    views: list[DepthView]
    photos: list[PosedImage]
    cameras: CameraSet
    scale: float


class LayoutTrials:
    """See `fewview.apps.benchmarks.thresholds.Trials`."""

    scenes = (
        "furnished rooms of `fewview.data.gallery` (3 photos, true cameras, depth with 2 % bias and 1 % noise): an L "
        "(seed 932) and a slanted one of unknown scale (933); for directions and seams also a rectangle in larger "
        "photos (931), for free space and openings an L and a rectangle with open doors and windows (934, 935); for "
        "what is a room also one wall and a floor, and two walls and a floor without ceiling (both of 932), which "
        "are none"
    )

    def __init__(self) -> None:
        rectangle = generate(931, "rectangle", views=3, size=(400, 300))
        l_shaped = generate(932, "l", views=3, size=(160, 120), walk="around")
        slanted = generate(933, "slanted", views=3, size=(160, 120), walk="around")
        opened = generate(934, "l", views=3, size=(160, 120), walk="around", openings=True)
        opened_too = generate(935, "rectangle", views=3, size=(160, 120), openings=True)
        self._always = {"l": _scene(l_shaped), "slanted": _scene(slanted, _UNKNOWN_SCALE)}
        self._only = {
            ("Up", "Seams"): {"rectangle": _scene(rectangle)},
            ("Free", "Doors"): {"opened": _scene(opened), "opened too": _scene(opened_too)},
            ("Is it",): {f"{walls} walls": _without(_scene(l_shaped), walls) for walls in (1, 2)},
        }

    def run(self, section: str) -> dict[str, dict[str, float]]:
        """`told`: 1 where a room, or none, is told to be so; floor IoU, plane precision and recall; doors and windows
        that are found."""
        scenes = dict(self._always)
        for starts, more in self._only.items():
            scenes |= more if section.startswith(starts) or not section else {}
        return {name: _figures(scene) for name, scene in scenes.items()}


def _scene(room: Room, scale: float | None = None) -> _Scene:
    random = np.random.default_rng(room.seed)
    unit, views, photos = scale or 1.0, [], []
    for shot in room.shots:
        T, camera, name = shot.view.T_world_camera, shot.view.camera, shot.view.name
        error = 1 + random.choice([-_BIAS, _BIAS]) + _NOISE * random.standard_normal(shot.depth.shape)
        view = DepthView(name, camera, T, shot.depth * error, np.ones(shot.depth.shape)).transformed(np.eye(3), unit)
        image, mask = shot.image.astype(np.float32) / 255, np.ones(shot.depth.shape, bool)
        views.append(view)
        photos.append(PosedImage(name, camera, view.T_world_camera, image, mask))
    return _Scene(room, views, photos, CameraSet(room.views, units="unknown" if scale else "metre"), unit)


def _without(scene: _Scene, walls: int) -> _Scene:
    """Only the floor and the first walls that face different ways: the rest is open sky."""
    assert scene.truth is not None
    planes = [plane for plane in scene.truth.planes if plane.kind == "wall"]
    kept = {plane.instance for plane in planes[:walls]}
    kept |= {plane.instance for plane in scene.truth.planes if plane.kind == "floor"}
    views = [
        replace(view, depth=np.where(np.isin(shot.instance, list(kept)), view.depth, np.nan))
        for view, shot in zip(scene.views, scene.truth.shots, strict=True)
    ]
    return replace(scene, truth=None, views=views)


def _figures(scene: _Scene) -> dict[str, float]:
    layout, _, _ = find_room(scene.views, scene.photos, scene.cameras, LogProgress())
    if scene.truth is None:
        return {"told": float(layout is None)}
    if layout is None:
        return {"told": 0.0, "floor IoU": 0.0, "precision": 0.0, "recall": 0.0, "openings": 0.0}
    planes = layout.planes()
    planes[:, 3] /= scene.scale
    true = np.array([[*plane.normal, plane.offset] for plane in scene.truth.planes])
    score = metrics.match_planes(true, planes, *_PLANE)
    plan = _in_truth(layout) / scene.scale
    return {
        "told": 1.0,
        "floor IoU": metrics.floor_iou(scene.truth.polygon, plan),
        "precision": score.precision,
        "recall": score.recall,
        "openings": float(sum(len(wall.openings) for wall in layout.walls)),
    }


def _in_truth(layout: RoomLayout) -> Float[np.ndarray, "N 2"]:
    corners: Sequence[Float[np.ndarray, " 2"]] = [wall.start for wall in layout.walls]
    return (np.concatenate([corners, np.zeros((len(corners), 1))], 1) @ layout.R_room_world)[:, :2]
