"""Cameras as a person would hold them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fewview.data.gallery.layout import Stand
from fewview.recon.scene import Camera, View


def make_views(
    rng: np.random.Generator, stand: Stand, size: tuple[int, int], count: int, names: list[str]
) -> list[View]:
    """`count` views from eye height along the stand, all looking across the room, or turning (`around`).

    Args:
        size: width and height in pixels; the horizontal field of view is 65 to 75 degrees for all (75 to 85
            for `around`).
    """
    if stand.walk == "around":
        return _turning_views(rng, stand, size, names)
    width, height = size
    focal = width / 2 / np.tan(np.radians(rng.uniform(65, 75)) / 2)
    # A real principal point is off the middle by some thousandths of the width.
    cx, cy = width / 2 + rng.normal(0, 0.003) * width, height / 2 + rng.normal(0, 0.003) * width
    camera = Camera(width, height, float(focal), float(focal), float(cx), float(cy))
    middle = (stand.start + stand.end) / 2
    ahead = (stand.target - middle) / np.linalg.norm(stand.target - middle)
    views = []
    for name, share in zip(names, np.linspace(0, 1, count), strict=True):
        at = stand.start + share * (stand.end - stand.start) + rng.normal(0, 0.04, 2)
        towards = stand.target - at
        look = 0.5 * ahead + 0.5 * towards / np.linalg.norm(towards)
        yaw = np.arctan2(look[1], look[0]) + np.radians(rng.normal(0, 3))
        pitch, roll = np.radians(rng.normal(-8, 2.5)), np.radians(rng.normal(0, 1.2))
        T = np.eye(4)
        T[:3, :3] = rotation(yaw, pitch, roll)
        T[:3, 3] = [*at, rng.normal(1.5, 0.06)]
        views.append(View(name, camera, T))
    return views


def _turning_views(rng: np.random.Generator, stand: Stand, size: tuple[int, int], names: list[str]) -> list[View]:
    """Each photo looks across the centre of a circle from its rim, and is turned by 40 degrees (less for more
    than 9 photos) against its neighbours, so that these share half of the picture.

    The principal point is the middle of the image: Structured3D's format knows no other.
    """
    width, height = size
    focal = float(width / 2 / np.tan(np.radians(rng.uniform(75, 85)) / 2))
    camera = Camera(width, height, focal, focal, width / 2, height / 2)
    centre, radius = (stand.start + stand.end) / 2, np.linalg.norm(stand.end - stand.start) / 2
    ahead = stand.target - centre
    sweep = np.radians(min(40 * (len(names) - 1), 320))
    views = []
    for name, turn in zip(names, np.linspace(0.5, -0.5, len(names)), strict=True):
        yaw = np.arctan2(ahead[1], ahead[0]) + sweep * turn
        at = centre - radius * np.array([np.cos(yaw), np.sin(yaw)]) + rng.normal(0, 0.05, 2)
        T = np.eye(4)
        T[:3, :3] = rotation(yaw + np.radians(rng.normal(0, 2)), *np.radians(rng.normal((-5, 0), (2.5, 1.2))))
        T[:3, 3] = [*at, rng.normal(1.5, 0.06)]
        views.append(View(name, camera, T))
    return views


def rotation(yaw: float, pitch: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """Camera to world (z up): looks along `yaw` in the plan, `pitch` up, turned by `roll` about the line
    of sight."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward], 1)
