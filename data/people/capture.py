"""What detectors would see of walkers in the videos of a rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import JOINTS, MIRRORED
from fewview.data.people.walker import Walker
from fewview.recon.scene import View


@dataclass(frozen=True)
class CaptureConfig:
    """How badly."""

    duration_s: float = 20.0
    fps: tuple[float, ...] = (30.0,)
    """Frame rates, given to the cameras in turn."""
    latest_start_s: float = 3.0
    """Cameras start up to this much after the first."""
    drift_ppm: float = 0.0
    """Clocks run too fast or slow by up to this."""
    noise_px: float = 2.0
    """Standard deviation per coordinate, independent from frame to frame."""
    dropouts: float = 0.1
    """Share of joints that are missed."""
    wild: float = 0.0
    """Share of joints that are found anywhere within half a body."""
    swaps: float = 0.0
    """Share of half seconds in which a camera sees left for right."""
    shuffle: bool = True
    """Slots change hands from frame to frame."""


@dataclass(frozen=True)
class Capture:
    """Detections and the truth behind them."""

    detections: list[Detections]
    offsets_s: dict[str, float]
    """Add to a camera's clock to get the time of the walkers."""


def capture(views: Sequence[View], walkers: Sequence[Walker], config: CaptureConfig, seed: int) -> Capture:
    """Keypoints of all walkers in all cameras; joints outside the image are absent."""
    random = np.random.default_rng(seed)
    detections, offsets = [], {}
    for number, view in enumerate(views):
        fps = config.fps[number % len(config.fps)]
        # Not by whole frames.
        offset = 0.0 if number == 0 else float(random.uniform(0, config.latest_start_s))
        offsets[view.name] = offset
        rate = 1 + 1e-6 * config.drift_ppm * random.uniform(-1, 1)
        frames = int((config.duration_s - offset) * fps)
        clock = np.arange(frames) / fps
        seen = [_see(view, walker.joints(offset + clock * rate), config, fps, random) for walker in walkers]
        xy = np.stack([s[0] for s in seen], axis=1)
        confidence = np.stack([s[1] for s in seen], axis=1)
        if config.shuffle and len(walkers) > 1:
            order = random.permuted(np.tile(np.arange(len(walkers)), (frames, 1)), axis=1)
            row = np.arange(frames)[:, None]
            xy, confidence = xy[row, order], confidence[row, order]
        size = (view.camera.width, view.camera.height)
        detections.append(Detections(view.name, size, fps, xy.astype(np.float32), confidence.astype(np.float32)))
    return Capture(detections, offsets)


def _see(
    view: View, joints: np.ndarray, config: CaptureConfig, fps: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    T = view.T_camera_world
    X = joints @ T[:3, :3].T + T[:3, 3]
    frames, count = X.shape[:2]
    camera = view.camera
    flat, _ = cv2.projectPoints(
        X.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion or (0.0,) * 5)
    )
    xy = flat.reshape(frames, count, 2)
    extent = np.ptp(xy, axis=1).max(axis=1)[:, None, None]
    xy = xy + random.normal(0, config.noise_px, xy.shape)
    wild = random.uniform(size=(frames, count)) < config.wild
    xy = np.where(wild[..., None], xy + random.uniform(-0.5, 0.5, xy.shape) * extent, xy)
    half_second = np.arange(frames) // max(1, round(fps / 2))
    exchanged = (random.uniform(size=half_second.max(initial=0) + 1) < config.swaps)[half_second]
    xy[exchanged] = xy[exchanged][:, np.array(MIRRORED)]
    # Lenses are only modelled where they picture something: the fold of strong distortion lies far outside.
    wide = np.linalg.norm(X[..., :2], axis=2) > 1.3 * X[..., 2]
    inside = ((xy >= 0) & (xy <= [camera.width, camera.height])).all(axis=2) & (X[..., 2] > 0.1) & ~wide
    absent = ~inside | (random.uniform(size=(frames, count)) < config.dropouts)
    confidence = np.where(absent, 0.0, random.uniform(0.6, 1.0, (frames, count)))
    xy = np.where(absent[..., None], np.nan, xy)
    assert xy.shape[1] == len(JOINTS)
    return xy, confidence
