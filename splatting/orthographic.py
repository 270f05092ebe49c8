"""Drawings of the splats without perspective, true to scale: a plan from above, and elevations."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from fewview.recon.geometry.pose import Z_UP
from fewview.recon.scene import Camera
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.pictures import to_8bit
from fewview.splatting.rasterize import rasterize

_DISTANCE = 1000.0
"""Of the camera, in widths of what is drawn: what lies a width behind the drawing's plane is drawn smaller by a
thousandth. Float32 still tells depths apart to a sixteen-thousandth of the width."""
_MARGIN = 0.05
"""Of the box's longest side, around it."""
_BAR = 1 / 25
"""Height of the strip with the scale, in widths of the picture."""
_OUTSIDE = (2.0, 98.0)
"""Percentiles of the Gaussians' places that bound a scene without a room: the few far ones are floaters or sky."""


@dataclass(frozen=True)
class Box:
    """What is drawn: a box along three axes."""

    R_box_world: Float[np.ndarray, "3 3"]
    """z up."""
    low: Float[np.ndarray, " 3"]
    high: Float[np.ndarray, " 3"]
    inside: bool
    """It is a room, whose ceiling and nearer walls would hide the rest."""


@dataclass(frozen=True)
class Drawing:
    """A picture to scale."""

    image: UInt8[np.ndarray, "H W 3"]
    units_per_px: float
    T_picture_world: Float[np.ndarray, "4 4"]
    """From the world to the picture's plane: x right and y down in scene units from its upper left corner, z away."""


def box_around(gaussians: Gaussians) -> Box:
    """A box in the world's axes around a scene that is no room."""
    places = gaussians.means.double().numpy() @ Z_UP.T
    low, high = np.percentile(places, _OUTSIDE, axis=0)
    return Box(Z_UP, low, high, inside=False)


def plan(gaussians: Gaussians, box: Box, long_side: int, cut: float) -> Drawing:
    """From above, x to the right.

    Args:
        cut: share of a room's height above which nothing is drawn, as its ceiling would hide the rest.
    """
    top = box.low[2] + cut * (box.high[2] - box.low[2]) if box.inside else np.inf
    axes = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    return _draw(gaussians, box, axes, long_side, np.full(3, -np.inf), np.array([np.inf, np.inf, top]))


def elevations(gaussians: Gaussians, box: Box, long_side: int) -> list[Drawing]:
    """Level, towards the top, right, bottom and left of the plan; of a room what lies from its middle to the wall."""
    drawings = []
    for towards in ([0.0, 1, 0], [1.0, 0, 0], [0, -1.0, 0], [-1.0, 0, 0]):
        forward = np.array(towards)
        axes = np.stack([[forward[1], -forward[0], 0], [0, 0, -1], forward])
        low, high = np.full(3, -np.inf), np.full(3, np.inf)
        if box.inside:
            k = int(np.abs(forward).argmax())
            middle = (box.low[k] + box.high[k]) / 2
            (low if forward[k] > 0 else high)[k] = middle
        drawings.append(_draw(gaussians, box, axes, long_side, low, high))
    return drawings


def _draw(
    gaussians: Gaussians,
    box: Box,
    R_picture_box: Float[np.ndarray, "3 3"],
    long_side: int,
    low: Float[np.ndarray, " 3"],
    high: Float[np.ndarray, " 3"],
) -> Drawing:
    """What lies between `low` and `high` (and in the box and its margin), on white."""
    margin = _MARGIN * float((box.high - box.low).max())
    low, high = np.maximum(low, box.low - margin), np.minimum(high, box.high + margin)
    corners = np.stack([box.low - margin, box.high + margin]) @ R_picture_box.T
    start, extent = corners.min(0), np.ptp(corners, axis=0)
    px = long_side / float(extent[:2].max())
    width, height = (max(1, round(float(side) * px)) for side in extent[:2])
    T_picture_world = np.eye(4)
    T_picture_world[:3, :3] = R_picture_box @ box.R_box_world
    T_picture_world[:3, 3] = -start
    places = gaussians.means.double().numpy() @ box.R_box_world.T
    kept = torch.from_numpy(((places >= low) & (places <= high)).all(1))
    away = _DISTANCE * float(extent.max())
    T_camera_world = T_picture_world.copy()
    T_camera_world[2, 3] += away
    camera = Camera(width, height, away * px, away * px, 0.0, 0.0)
    with torch.no_grad():
        pose = torch.from_numpy(T_camera_world).float()
        seen = rasterize(gaussians.map(lambda t: t[kept]), pose, camera, background=torch.ones(3))
    return Drawing(to_8bit(seen.image.numpy()), 1 / px, T_picture_world)


def with_scale(drawing: Drawing, units: str) -> UInt8[np.ndarray, "h W 3"]:
    """The picture above a bar of a round length."""
    width = drawing.image.shape[1]
    longest = width / 3 * drawing.units_per_px
    step = 10.0 ** np.floor(np.log10(longest))
    length = max(factor * step for factor in (1, 2, 5) if factor * step <= longest)
    height = max(24, round(width * _BAR))
    strip = np.full((height, width, 3), 255, np.uint8)
    left, top = height // 4, height // 5
    cv2.rectangle(strip, (left, top), (left + round(length / drawing.units_per_px), top + height // 8), (0, 0, 0), -1)
    letters = height / 60  # of 21 px at a scale of 1
    at = (left, round(height * 0.85))
    cv2.putText(strip, f"{length:g} {units}", at, cv2.FONT_HERSHEY_SIMPLEX, letters, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([drawing.image, strip])
