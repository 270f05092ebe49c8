"""A jointed person who walks a winding path, swings and lifts the arms, bends and turns; smooth in time and exact at
any instant.

Proportions after Drillis and Contini (1966); world as in `fewview.calibration.observations`: metres, y down, floor at y
= 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.calibration.skeleton import INDEX, JOINTS

THIGH, SHANK, TRUNK, UPPER_ARM, FOREARM = 0.245, 0.246, 0.288, 0.186, 0.146
SHOULDERS, HIPS, ANKLE = 0.259, 0.191, 0.039
"""In heights."""
_HEAD = {"nose": (0.0, 0.075, 0.065), "eye": (0.018, 0.09, 0.055), "ear": (0.043, 0.085, 0.0)}
"""Side, up from the shoulders, forward, in heights."""
_FOOT = {"heel": (0.0, 0.0, -0.03), "big_toe": (-0.01, 0.0, 0.11), "small_toe": (0.025, 0.0, 0.09)}
_STRIDE = 0.8
"""Length of two steps, in heights."""


@dataclass(frozen=True)
class Walker:
    """One person; the seed decides the path and the manner."""

    height_m: float
    seed: int
    center_m: tuple[float, float] = (0.0, 0.0)
    """Where it walks about, x and z on the floor."""
    reach_m: float = 1.0
    """How far from there."""

    def joints(self, t_s: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T J 3"]:
        """All of `JOINTS` at instants in seconds."""
        t = np.asarray(t_s, np.float64)
        random = np.random.default_rng(self.seed)
        H = self.height_m
        x, z, heading, travelled = self._path(t, random)
        phase = 2 * np.pi * travelled / (_STRIDE * H)
        hip_height = H * (ANKLE + THIGH + SHANK)
        body: dict[str, np.ndarray] = {}
        swing = np.radians(24)
        lift = H * 0.01 * np.cos(2 * phase)
        lean = _wobble(t, random, np.radians(12))
        twist = _wobble(t, random, np.radians(25))
        up = np.array([0.0, 1.0, 0.0])
        spine = Rotation.from_euler("YX", np.stack([twist, lean], axis=1))
        for sign, side in ((-1.0, "left"), (1.0, "right")):
            # Body axes: x to the right, y up, z forward.
            hip = np.stack([np.full_like(t, sign * HIPS / 2 * H), hip_height + lift, np.zeros_like(t)], axis=1)
            forward = swing * np.sin(phase + (0 if sign < 0 else np.pi))
            bend = np.radians(35) * (1 - np.cos(phase + (0.6 if sign < 0 else 0.6 + np.pi))) / 2
            knee = hip + THIGH * H * _pendulum(forward)
            ankle = knee + SHANK * H * _pendulum(forward - bend)
            body[f"{side}_hip"], body[f"{side}_knee"], body[f"{side}_ankle"] = hip, knee, ankle
            foot = Rotation.from_euler("X", -(forward - bend)[:, None] * 0.5)
            for name, (across, rise, ahead) in _FOOT.items():
                body[f"{side}_{name}"] = ankle + foot.apply(np.array([sign * across, rise - ANKLE, ahead]) * H)
            shoulder = np.array([sign * SHOULDERS / 2, TRUNK, 0.0]) * H
            body[f"{side}_shoulder"] = shoulder
            raise_ = np.abs(_wobble(t, random, np.radians(70)))
            arm = swing * np.sin(phase + (np.pi if sign < 0 else 0)) + _wobble(t, random, np.radians(40))
            upper = Rotation.from_euler("ZX", np.stack([sign * raise_, -arm], axis=1))
            elbow = shoulder + UPPER_ARM * H * upper.apply(-up)
            flex = np.radians(20) + np.abs(_wobble(t, random, np.radians(60)))
            lower = upper * Rotation.from_euler("X", -flex[:, None])
            body[f"{side}_elbow"] = elbow
            body[f"{side}_wrist"] = elbow + FOREARM * H * lower.apply(-up)
            for name in ("eye", "ear"):
                across, rise, ahead = _HEAD[name]
                body[f"{side}_{name}"] = np.array([sign * across, TRUNK + rise, ahead]) * H
        body["nose"] = np.array([0.0, TRUNK + _HEAD["nose"][1], _HEAD["nose"][2]]) * H
        pelvis = np.stack([np.zeros_like(t), hip_height + lift, np.zeros_like(t)], axis=1)
        for name, place in body.items():
            if name == "nose" or name.split("_", 1)[1] in ("shoulder", "elbow", "wrist", "eye", "ear"):
                body[name] = pelvis + spine.apply(np.tile(place, (len(t), 1)) if place.ndim == 1 else place)
        out = np.empty((len(t), len(JOINTS), 3))
        cosine, sine = np.cos(heading), np.sin(heading)
        for name, place in body.items():
            across, rise, ahead = place.T
            out[:, INDEX[name], 0] = x + cosine * across + sine * ahead
            out[:, INDEX[name], 1] = -rise
            out[:, INDEX[name], 2] = z - sine * across + cosine * ahead
        return out

    def _path(self, t: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        """x, z, heading and the way travelled."""
        frequency = random.uniform(0.25, 0.6, (2, 3)) * np.array([0.5, 1.0, 1.7])
        phase = random.uniform(0, 2 * np.pi, (2, 3))
        size = self.reach_m * np.array([0.75, 0.3, 0.12])
        angle = frequency[:, :, None] * t + phase[:, :, None]
        x, z = (size[:, None] * np.sin(angle)).sum(axis=1) + np.array(self.center_m)[:, None]
        vx, vz = (size[:, None] * frequency[:, :, None] * np.cos(angle)).sum(axis=1)
        # The heading is smooth even where the walker stands: a slow turn is mixed with the direction of travel.
        turn = 0.5 * t + phase[0, 0]
        heading = np.arctan2(vx + 0.25 * np.sin(turn), vz + 0.25 * np.cos(turn))
        # A pace of its own: a walker who dawdles still steps, and the phase stays smooth and exact.
        pace = random.uniform(0.75, 1.0)
        travelled = pace * t * 0.8 + 0.25 * np.sin(0.7 * t + phase[1, 1]) + 0.15 * np.sin(1.9 * t + phase[1, 2])
        return x, z, heading, travelled


def _pendulum(angle: np.ndarray) -> np.ndarray:
    """Down, turned forward by an angle."""
    return np.stack([np.zeros_like(angle), -np.cos(angle), np.sin(angle)], axis=1)


def _wobble(t: np.ndarray, random: np.random.Generator, size: float) -> np.ndarray:
    """A slow motion that never repeats: three sines of frequencies without a common period."""
    frequency = random.uniform(0.1, 0.6, 3) * 2 * np.pi
    phase = random.uniform(0, 2 * np.pi, 3)
    return size / 2 * np.sin(frequency[:, None] * t + phase[:, None]).mean(axis=0) * 2
