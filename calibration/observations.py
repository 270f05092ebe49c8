"""What the cameras of a rig saw of people, and what calibration makes of it: the contract within this package.

Pixel centres lie at half-integers, as everywhere inside the program; readers of files that put them at integers add
0.5. Frame f of a camera is taken at f / fps seconds on that camera's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Int

from fewview.recon.scene import View


@dataclass(frozen=True)
class Detections:
    """Keypoints of one camera, joints in the order of `fewview.calibration.skeleton.JOINTS`."""

    camera: str
    """Unique name within the rig."""
    size: tuple[int, int]
    """Width and height of the video in pixels."""
    fps: float
    xy: Float32[np.ndarray, "F P J 2"]
    """Pixels; NaN where absent. P slots per frame; a slot is not an identity."""
    confidence: Float32[np.ndarray, "F P J"]
    """0 where absent, else in (0, 1]."""


@dataclass(frozen=True)
class Rig:
    """Calibrated cameras."""

    views: list[View]
    """Named like the cameras, in the order of the input, those that were placed; distortion k1, k2, p1, p2, k3. World:
    y down like the cameras of photos, floor at y = 0 where it was found, metres where the scale is known."""
    offsets_s: dict[str, float]
    """Add to a camera's own clock to get the common time."""
    unplaced: dict[str, str]
    """Cameras that could not be tied in, with the reason."""
    units: str
    """`metre` or `unknown`."""
    scale_source: str
    """Such as `height 1.80 m` or `body proportions of an adult of 1.70 m`."""
    scale_uncertainty: float
    """Relative standard deviation of the scale."""
    facts: dict[str, object] = field(default_factory=dict)
    """JSON-serialisable figures for reports: residuals per camera and pair, degeneracies and their reasons."""


@dataclass(frozen=True)
class Motion:
    """3D keypoints over the common time."""

    fps: float
    start_s: float
    """Common time of frame 0."""
    xyz: Float[np.ndarray, "T P J 3"]
    """World, NaN where unknown, never zeros in place of it."""
    score: Float[np.ndarray, "T P J"]
    """Consensus of the cameras in [0, 1]; 0 where unknown."""
    support: Int[np.ndarray, "T P J"]
    """How many cameras agree."""
