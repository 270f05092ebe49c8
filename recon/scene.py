"""The shared vocabulary: cameras and posed views.

Conventions (CONTRIBUTING.md): OpenCV camera axes (x right, y down, z forward); `T_world_camera` maps camera
to world coordinates; pixel centres lie at half-integers, so an image spans [0, width] x [0, height].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewview.recon.geometry.camera import Camera
from fewview.recon.geometry.pose import invert_rigid

__all__ = ["Camera", "PosedImage", "View", "mean_up"]


@dataclass(frozen=True)
class View:
    """A photo's place in the world."""

    name: str
    """The photo's unique name within the run."""
    camera: Camera
    """At the original (upright) resolution unless stated otherwise."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Camera to world, float64, scene units."""

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        return self.T_world_camera[:3, 3]

    @property
    def T_camera_world(self) -> Float[np.ndarray, "4 4"]:
        return invert_rigid(self.T_world_camera)


@dataclass(frozen=True)
class PosedImage:
    """An undistorted image with its pinhole camera: what depth and splatting work on."""

    name: str
    camera: Camera
    """Pinhole, at the size of `image`."""
    T_world_camera: Float[np.ndarray, "4 4"]
    image: Float[np.ndarray, "H W 3"]
    """RGB in [0, 1], float32."""
    mask: Bool[np.ndarray, "H W"]
    """True where the photo may be used (False: masked by the user, or outside the undistorted photo)."""

    @property
    def T_camera_world(self) -> Float[np.ndarray, "4 4"]:
        return invert_rigid(self.T_world_camera)


def mean_up(T_world_camera: Sequence[Float[np.ndarray, "4 4"]]) -> Float[np.ndarray, " 3"]:
    """The mean of the cameras' upward directions, world frame; shorter than 1 the more they differ, 0 at worst."""
    return -np.mean([T[:3, 1] for T in T_world_camera], axis=0)
