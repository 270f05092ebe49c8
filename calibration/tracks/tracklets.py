"""Tracklets: a person followed through one camera, as place and velocity of every joint on an even grid of time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from fewview.calibration.observations import Detections

HALF_WINDOW_S = 0.05
"""Detections this near in time are fitted together; at least two frames either way."""
MIN_CONFIDENCE = 0.05
_JUMP = 0.35
"""A person moves at most this share of its size from one detection to the next, mean over its joints."""
_LOST_FRAMES = 10
"""A person unseen for longer starts a new tracklet."""
_HAMPEL, _HAMPEL_PX = 4.0, 2.0
"""A detection is wild beyond this many median deviations and pixels."""
_SHORTEST_FRAMES = 8
_FEWEST_JOINTS = 3


@dataclass(frozen=True, eq=False)
class Track:
    """One person in one camera."""

    camera: int
    start_s: float
    """Of the first sample, on the camera's own clock."""
    rate: float
    """Samples a second."""
    xy: Float[np.ndarray, "N J 2"]
    """Pixels."""
    velocity: Float[np.ndarray, "N J 2"]
    """Pixels a second."""
    confidence: Float[np.ndarray, "N J"]
    """0 where absent."""

    @property
    def stop_s(self) -> float:
        """Of the last sample."""
        return self.start_s + (len(self.xy) - 1) / self.rate

    @property
    def seen(self) -> float:
        """How much there is of it: the sum of all confidences over the joints, in samples."""
        return float(self.confidence.sum()) / self.confidence.shape[1]

    def at(self, clock_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels, velocity and confidence at instants of the camera's clock, from the nearest sample."""
        position = (clock_s - self.start_s) * self.rate
        index = np.round(position).astype(int)
        inside = (index >= 0) & (index < len(self.xy))
        index = np.where(inside, index, 0)
        velocity = self.velocity[index]
        ahead = (position - index) / self.rate
        confidence = np.where(inside[:, None], self.confidence[index], 0)
        xy = self.xy[index] + velocity * np.where(inside, ahead, 0)[:, None, None]
        return xy, velocity, confidence


def follow(
    detections: Detections, camera: int, span: tuple[int, int], joints: Int[np.ndarray, " J"], rate: float
) -> list[Track]:
    """Tracklets of the frames from `span[0]` to before `span[1]`, the most seen first."""
    start, stop = span
    cut = replace(
        detections,
        xy=detections.xy[start:stop][:, :, joints],
        confidence=detections.confidence[start:stop][:, :, joints],
    )
    tracks = []
    for slots in link(cut):
        frames = np.flatnonzero(slots >= 0)
        if len(frames) < _SHORTEST_FRAMES:
            continue
        first, last = frames[0] / cut.fps, frames[-1] / cut.fps
        clock = first + np.arange(int((last - first) * rate + 1e-6) + 1) / rate
        xy, velocity, confidence = smooth(cut, slots, clock)
        confidence[confidence < MIN_CONFIDENCE] = 0
        tracks.append(Track(camera, float(first + start / cut.fps), rate, xy, velocity, confidence))
    return sorted(tracks, key=lambda track: -track.seen)


def link(detections: Detections) -> list[Int[np.ndarray, " F"]]:
    """The slot of every person in every frame; -1 where it is not seen.

    Frame by frame, people are assigned to the tracklets that were seen lately (Hungarian, mean distance of the joints
    over body size).
    """
    xy = detections.xy
    present = (detections.confidence > MIN_CONFIDENCE) & np.isfinite(xy).all(axis=-1)
    xy = np.where(present[..., None], xy, 0)
    occupied = present.sum(axis=2) >= _FEWEST_JOINTS
    low = np.where(present[..., None], xy, np.inf).min(axis=2)
    high = np.where(present[..., None], xy, -np.inf).max(axis=2)
    size = np.maximum((high - low).max(axis=2, initial=1.0, where=occupied[..., None]), 1.0)
    slots_of: list[np.ndarray] = []
    last = np.zeros(0, int)
    # Per tracklet: where its joints were seen last, which ever were, and how large the person was.
    where = np.zeros((0, *xy.shape[2:]))
    known = np.zeros((0, xy.shape[2]), bool)
    extent = np.zeros(0)
    for frame in range(len(xy)):
        slots = np.flatnonzero(occupied[frame])
        live = np.flatnonzero(frame - last <= _LOST_FRAMES)
        free = np.ones(len(slots), bool)
        if len(slots) and len(live):
            both = known[live][:, None] & present[frame, slots]
            distance = np.linalg.norm(where[live][:, None] - xy[frame, slots], axis=-1)
            count = both.sum(axis=2)
            mean = np.where(both, distance, 0).sum(axis=2) / np.maximum(count, 1)
            scale = np.maximum(extent[live][:, None], size[frame, slots]) * np.sqrt(frame - last[live])[:, None]
            jump = np.where(count >= _FEWEST_JOINTS, mean / scale, np.inf)
            for i, j in zip(*linear_sum_assignment(np.minimum(jump, 1e3)), strict=True):
                if jump[i, j] < _JUMP:
                    track, slot = live[i], slots[j]
                    slots_of[track][frame] = slot
                    last[track], extent[track] = frame, size[frame, slot]
                    seen = present[frame, slot]
                    where[track, seen] = xy[frame, slot, seen]
                    known[track] |= seen
                    free[j] = False
        for slot in slots[free]:
            slots_of.append(np.full(len(xy), -1))
            slots_of[-1][frame] = slot
            last = np.append(last, frame)
            where = np.concatenate([where, xy[frame, slot][None]])
            known = np.concatenate([known, present[frame, slot][None]])
            extent = np.append(extent, size[frame, slot])
    return slots_of


def smooth(
    detections: Detections, slots: Int[np.ndarray, " F"], clock_s: Float[np.ndarray, " K"]
) -> tuple[Float[np.ndarray, "K J 2"], Float[np.ndarray, "K J 2"], Float[np.ndarray, "K J"]]:
    """Pixels, pixels a second and confidence at instants of the camera's own clock.

    A quadratic in time, weighted by confidence and tricube distance in time (Cleveland 1979), fitted twice without wild
    detections: those far from the median of their neighbours, then those far from the first fit. A joint is present
    (confidence > 0) where the nearest frames either side of the instant, or the frame at it, have it.

    Args:
        slots: which slot of each frame holds the person; -1 where none does.
    """
    F, J = len(slots), detections.xy.shape[2]
    K = len(clock_s)
    half = max(2, round(HALF_WINDOW_S * detections.fps))
    position = clock_s * detections.fps
    first = np.floor(position + 1e-6).astype(int) - half + 1
    frames = first[:, None] + np.arange(2 * half)
    inside = (frames >= 0) & (frames < F)
    frames = np.clip(frames, 0, max(F - 1, 0))
    slot = slots[frames]
    inside &= slot >= 0
    xy = detections.xy[frames, slot].astype(np.float64)
    confidence = np.where(inside[..., None], detections.confidence[frames, slot], 0).astype(np.float64)
    confidence[~np.isfinite(xy).all(axis=-1)] = 0
    xy = np.where(confidence[..., None] > 0, xy, 0)
    dt = (frames - position[:, None]) / detections.fps
    reach = (half + 0.5) / detections.fps
    near = np.clip(1 - np.abs(dt / reach) ** 3, 0, None) ** 3
    weight = confidence * near[..., None]
    basis = np.stack([np.ones_like(dt), dt / reach, (dt / reach) ** 2], axis=-1)
    products = (basis[..., :, None] * basis[..., None, :]).reshape(K, 2 * half, 9)
    value = np.zeros((K, J, 3, 2))
    weight = weight * _plausible(xy, confidence)
    for _ in range(2):
        by_joint = np.swapaxes(weight, 1, 2)
        H = (by_joint @ products).reshape(K, J, 3, 3)
        # A little ridge on slope and curvature: fewer than three frames make a line, or a point.
        H += np.diag([1e-9, 1e-3, 1e-2])
        weighted = by_joint[..., None] * np.swapaxes(xy, 1, 2)
        value = np.linalg.solve(H, np.swapaxes(basis, 1, 2)[:, None] @ weighted)
        miss = np.linalg.norm(np.swapaxes(xy, 1, 2) - basis[:, None] @ value, axis=-1)
        scale = 2.5 * (by_joint * miss).sum(axis=2) / np.maximum(by_joint.sum(axis=2), 1e-9) + 0.5
        weight = weight * np.swapaxes(miss <= scale[..., None], 1, 2)
    middle = confidence[:, half - 1 : half + 1]
    exact = np.abs(dt[:, half - 1]) < 1e-4
    present = np.where(exact[:, None], middle[:, 0], np.minimum(middle[:, 0], middle[:, 1]))
    present = np.where(weight.sum(axis=1) > 0, present, 0)
    return value[:, :, 0], value[:, :, 1] / reach, present


def _plausible(xy: Float[np.ndarray, "K F J 2"], confidence: Float[np.ndarray, "K F J"]) -> np.ndarray:
    """False for detections far from the median of their window (Hampel 1974); steady motion of any speed passes."""
    if not len(xy):
        return confidence > 0
    # Medians of what is there: absent ones are sorted to the end.
    present = confidence > 0
    count = present.sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2

    def median(values: np.ndarray) -> np.ndarray:
        ordered = np.sort(np.where(present, values, np.inf), axis=1)
        low, high = (np.take_along_axis(ordered, m[:, None], axis=1)[:, 0] for m in (middle, count // 2))
        even = np.where(count % 2 == 0, high, low)
        return np.where(count > 0, 0.5 * (low + np.where(np.isfinite(even), even, low)), 0)

    centre = np.stack([median(xy[..., axis]) for axis in range(2)], axis=-1)
    miss = np.linalg.norm(xy - centre[:, None], axis=-1)
    return miss <= (_HAMPEL * median(miss) + _HAMPEL_PX)[:, None]
