"""Cameras as a person would hold them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.gallery.layout import Stand
from recon.scene import Camera, View


def make_views(
    rng: np.random.Generator, stand: Stand, size: tuple[int, int], count: int, names: list[str]
) -> list[View]:
    """`count` views from eye height along the stand, all looking across the room.

    Args:
        size: width and height in pixels; the horizontal field of view is 65 to 75 degrees for all.
    """
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
        T[:3, :3] = _rotation(yaw, pitch, roll)
        T[:3, 3] = [*at, rng.normal(1.5, 0.06)]
        views.append(View(name, camera, T))
    return views


def _rotation(yaw: float, pitch: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """Camera to world (z up): looks along `yaw` in the plan, `pitch` up, turned by `roll` about the line
    of sight."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward], 1)
