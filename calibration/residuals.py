"""How far the motion, seen by the calibrated cameras, is from what they detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float

from calibration.observations import Detections, Motion, Rig
from recon.scene import View

FRAMES = 1500
"""Of the motion, evenly spaced, that are looked at: more say nothing new."""


@dataclass(frozen=True)
class Residuals:
    """Pixels; absent where nothing was compared."""

    by_camera: dict[str, Float[np.ndarray, "T P J"]]
    """Error of each joint at the frames looked at; NaN where the joint is unknown or was not detected."""

    def camera_px(self) -> dict[str, float]:
        """Median error of each camera."""
        return {name: float(np.nanmedian(px)) for name, px in self.by_camera.items() if np.isfinite(px).any()}

    def pair_px(self) -> dict[tuple[str, str], float]:
        """Median error of two cameras over the joints that both detected."""
        out = {}
        for a, b in combinations(self.by_camera, 2):
            mean = (self.by_camera[a] + self.by_camera[b]) / 2
            if np.isfinite(mean).any():
                out[a, b] = float(np.nanmedian(mean))
        return out

    def median_px(self) -> float | None:
        """Over all cameras and joints."""
        every = np.concatenate([px.ravel() for px in self.by_camera.values()])
        return float(np.nanmedian(every)) if np.isfinite(every).any() else None


def residuals(rig: Rig, motion: Motion, detections: Sequence[Detections]) -> Residuals:
    """Reprojection errors of the first take; detections are interpolated to the common time, and each person is
    compared with the detected one that is nearest in the picture."""
    frames = np.arange(0, len(motion.xyz), max(1, len(motion.xyz) // FRAMES))
    times = motion.start_s + frames / motion.fps
    by_name = {each.camera: each for each in detections}
    out = {}
    for view in rig.views:
        seen = by_name[view.name]
        observed = _at(seen, (times - rig.offsets_s.get(view.name, 0.0)) * seen.fps)
        projected = project(view, motion.xyz[frames])
        distance = np.linalg.norm(observed[:, None] - projected[:, :, None], axis=-1)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(distance)
            typical = np.where(known, distance, 0).sum(-1) / np.maximum(known.sum(-1), 1)
        typical[~known.any(-1)] = np.inf
        slot = typical.argmin(axis=2)[..., None, None]
        out[view.name] = np.take_along_axis(distance, slot, axis=2)[:, :, 0]
    return Residuals(out)


def project(view: View, xyz: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 2"]:
    """Pixels of world points; NaN for unknown points and behind the camera."""
    T = view.T_camera_world
    points = xyz.reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    front = points[:, 2] > 1e-6
    out = np.full((len(points), 2), np.nan)
    if front.any():
        distortion = np.array(view.camera.distortion, np.float64)
        pixels, _ = cv2.projectPoints(points[front], np.zeros(3), np.zeros(3), view.camera.matrix, distortion)
        out[front] = pixels[:, 0]
    return out.reshape(*xyz.shape[:-1], 2)


def _at(seen: Detections, frames: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T P J 2"]:
    """Keypoints between frames, by linear interpolation; NaN outside the video or next to an absent one."""
    low = np.floor(frames).astype(int)
    share = (frames - low)[:, None, None, None]
    inside = (low >= 0) & (low < len(seen.xy))
    a = seen.xy[np.clip(low, 0, len(seen.xy) - 1)]
    b = seen.xy[np.clip(low + 1, 0, len(seen.xy) - 1)]
    # Exactly on a frame, the next one plays no part.
    between = np.where(share < 1e-6, a, (1 - share) * a + share * b)
    return np.where(inside[:, None, None, None], between, np.nan)
