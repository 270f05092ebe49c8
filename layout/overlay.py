"""Pictures of the layout on the photos."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8

from fewview.layout.model import OpeningKind, RoomLayout
from fewview.layout.raycast import CEILING, FIRST_WALL, FLOOR, cast, on_wall, room_rays
from fewview.recon.scene import PosedImage

_FLOOR, _CEILING = (90, 170, 90), (90, 140, 210)
_WALLS = ((230, 120, 60), (200, 90, 170), (235, 190, 60), (110, 110, 220), (60, 180, 190), (190, 130, 90))
_EDGE, _INFERRED_EDGE = (255, 255, 255), (255, 60, 60)
_OPENINGS: dict[OpeningKind, tuple[int, int, int]] = {
    "door": (255, 150, 40), "window": (60, 170, 255), "opening": (40, 220, 120)
}  # fmt: skip
_TINT = 0.22


def draw(layout: RoomLayout, view: PosedImage) -> UInt8[np.ndarray, "H W 3"]:
    """The photo, tinted by plane, with the edges between planes: white, or red beside a wall that is inferred; openings
    are framed in the colour of their kind."""
    labels, depth = cast(layout, view.camera, view.T_world_camera)
    palette = np.array([_FLOOR, _CEILING, *[_WALLS[i % len(_WALLS)] for i in range(len(layout.walls))]], np.float64)
    image = 255 * view.image.astype(np.float64)
    shown = labels >= 0
    image[shown] = (1 - _TINT) * image[shown] + _TINT * palette[labels[shown]]
    out = np.round(np.clip(image, 0, 255)).astype(np.uint8)
    guessed = [FLOOR] * (not layout.floor.observed) + [CEILING] * (not layout.ceiling.observed)
    guessed += [FIRST_WALL + i for i, wall in enumerate(layout.walls) if not wall.observed]
    width = max(1, round(max(labels.shape) / 400))
    out[_edges(labels, width)] = _EDGE
    unsure = _edges(labels, width) & (cv2.dilate(np.isin(labels, guessed).astype(np.uint8), np.ones((3, 3))) > 0)
    out[unsure] = _INFERRED_EDGE
    eye, rays = room_rays(layout, view.camera, view.T_world_camera)
    for index, wall in enumerate(layout.walls):
        along, up = on_wall(layout, index, eye + depth[..., None] * rays)
        for o in wall.openings:
            inside = (along > o.start) & (along < o.end) & (up > o.low) & (up < o.high)
            out[_edges((inside & (labels == FIRST_WALL + index)).astype(int), width + 1)] = _OPENINGS[o.kind]
    return out


def _edges(labels: Int[np.ndarray, "H W"], width: int) -> Bool[np.ndarray, "H W"]:
    edge = np.zeros(labels.shape, np.uint8)
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    return cv2.dilate(edge, np.ones((width, width), np.uint8)) > 0
