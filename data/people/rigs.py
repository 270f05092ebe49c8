"""Synthetic rigs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fewview.recon.scene import Camera, View


def ring(
    count: int, seed: int, radius_m: float = 3.0, size: tuple[int, int] = (1920, 1080), strongest_k1: float = 0.3
) -> list[View]:
    """Cameras around the origin at 1 to 2.4 m, looking at about its height of 0.9 m, each with a lens of its own:
    70 to 80 degrees across, k1 between 0 and -`strongest_k1`.

    World: metres, y down, floor at y = 0.
    """
    random = np.random.default_rng(seed)
    start = random.uniform(0, 2 * np.pi)
    views = []
    for i in range(count):
        angle = start + 2 * np.pi * (i + random.uniform(-0.2, 0.2)) / count
        distance = radius_m * random.uniform(0.9, 1.1)
        center = np.array([distance * np.sin(angle), -random.uniform(1.0, 2.4), distance * np.cos(angle)])
        target = np.array([0.0, -0.9, 0.0]) + random.uniform(-0.15, 0.15, 3)
        focal = max(size) / 2 / np.tan(np.radians(random.uniform(70, 80) / 2))
        distortion = (-strongest_k1 * random.uniform(), 0.0, 0.0, 0.0, 0.0)
        camera = Camera(*size, focal, focal, size[0] / 2, size[1] / 2, distortion)
        views.append(View(f"cam{i + 1:02d}", camera, looking(center, target)))
    return views


def looking(center: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "4 4"]:
    """Camera to world, upright (world y down)."""
    z = (target - center) / np.linalg.norm(target - center)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    T[:3, 3] = center
    return T
