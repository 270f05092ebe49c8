"""Metres, the floor and up, from the people themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from fewview.calibration.skeleton import INDEX

ADULT_M = 1.70
"""Height assumed where none is given."""
ADULT_DEVIATION = 0.06
"""Of the logarithm of adults' heights, both sexes together."""
PROPORTION_DEVIATION = 0.015
"""Of body proportions, with a given height; a detector's joints differ from the anatomist's by as much."""
LEG = 0.491
"""Thigh and shank in heights (Drillis and Contini 1966, in Winter 2009, figure 4.1)."""
TRUNK = 0.288
"""Hip to shoulder in heights."""
SHOULDERS, HIPS = 0.259, 0.191
"""Breadths in heights."""
UPPER_ARM, FOREARM = 0.186, 0.146
ANKLE = 0.039
"""Height of the ankle above the floor, in heights."""
_UNEVEN = 0.02
"""Deviation of standing feet from the floor, in heights."""
_FEET = 10
"""Independent footings; most poses stand where others did."""
_LEANING_DEG = 5.0
"""Deviation of the vertical from where people's mass is over their feet, and of the mean axis of people all of whose
poses have one axis: four recordings, of three dances and of stumbling, had 1 to 6 degrees."""
_PITCHED_DEG = 20.0
"""Deviation of the cameras' mean down from the vertical: they look down, from more or less all sides."""
_ROLLED_DEG = 8.0
"""Scale of the rolls of cameras on tripods and in hands; a camera that is rolled much more says nothing."""
_SEGMENTS = (
    ("hip", "shoulder", 0.289, 0.66),
    ("shoulder", "elbow", 0.028, 0.436),
    ("elbow", "wrist", 0.022, 0.682),
    ("hip", "knee", 0.100, 0.433),
    ("knee", "ankle", 0.061, 0.606),
)
"""Of either side: share of the body's mass, and where along the segment it lies. With the trunk goes the head, with the
forearm the hand, with the shank the foot (Winter 2009, table 4.1)."""
_SOLE = 0.45
"""The pressure of a standing foot lies so far from heel to toe..."""
_BEFORE_ANKLE = 0.03
"""... and so much before the ankle, in heights (Winter 1995, Human balance and posture control)."""
_RAISED = 0.02
"""A foot that is so much higher than the other carries little, in heights."""
_BENT = 0.42
"""Height of the mass above the floor, in heights, .55 of those who stand: who is lower crawls, kneels or lies."""
_LEVEL_DEG = 3.0
"""Cameras on tripods are level to within this."""
_TURNED = 0.2
_SLOPE_DEG = 15.0
"""Cameras that are level on ground that slopes more than this against the bodies are not believed."""


@dataclass(frozen=True)
class Scale:
    """What turns the units of the cameras into metres."""

    factor: float
    deviation: float
    """Of its logarithm."""
    source: str


def body_scale(points: Float[np.ndarray, "K J 3"], height_m: float | None) -> Scale | None:
    """Metres a unit, from the bones of one person.

    Args:
        points: joints as in `fewview.calibration.skeleton.JOINTS`, NaN where unknown.
    """
    estimates = []
    legs = _length(points, "hip", "knee"), _length(points, "knee", "ankle")
    trunk = _length(points, "shoulder", "hip")
    if np.isfinite(legs).all():
        estimates.append((legs[0] + legs[1], LEG, 2.0))
    if np.isfinite(legs).all() and np.isfinite(trunk):
        estimates.append((legs[0] + legs[1] + trunk, LEG + TRUNK, 2.0))
    if not estimates:
        arms = ("shoulder", "elbow", UPPER_ARM), ("elbow", "wrist", FOREARM)
        estimates += [(_length(points, a, b), ratio, 1.0) for a, b, ratio in arms]
        estimates.append((trunk, TRUNK, 1.0))
        estimates.append((_length(points, "shoulder", "shoulder"), SHOULDERS, 0.5))
        estimates.append((_length(points, "hip", "hip"), HIPS, 0.5))
        estimates = [e for e in estimates if np.isfinite(e[0])]
    if not estimates:
        return None
    height = ADULT_M if height_m is None else height_m
    logs = np.array([np.log(ratio * height / length) for length, ratio, _ in estimates])
    weights = np.array([weight for *_, weight in estimates])
    factor = float(np.exp((logs * weights).sum() / weights.sum()))
    spread = float(logs.std()) if len(logs) > 1 else 0.0
    variance = PROPORTION_DEVIATION**2 + spread**2 + (ADULT_DEVIATION**2 if height_m is None else 0.0)
    source = f"height {height:.2f} m" if height_m is not None else f"body proportions of an adult of {height:.2f} m"
    return Scale(factor, float(np.sqrt(variance)), source)


def _length(points: np.ndarray, a: str, b: str) -> float:
    """Median over time, mean of both sides; between the sides where a and b are one name."""
    pairs = [(f"left_{a}", f"right_{a}")] if a == b else [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right")]
    lengths = [np.linalg.norm(points[:, INDEX[x]] - points[:, INDEX[y]], axis=1) for x, y in pairs]
    known = [length[np.isfinite(length)] for length in lengths]
    found = [float(np.median(length)) for length in known if len(length) >= 3]
    return float(np.mean(found)) if found else np.nan


@dataclass(frozen=True)
class Floor:
    """World axes in the frame of the cameras."""

    R: Float[np.ndarray, "3 3"]
    """Turns that frame so that down is +y."""
    origin: Float[np.ndarray, " 3"]
    """Its point that becomes the world's origin: on the floor under the middle of the motion."""
    found: bool
    """False: no feet were seen; the origin is the middle of the motion."""
    source: str


def find_floor(
    points: Float[np.ndarray, "K J 3"], height: float, rights: Float[np.ndarray, "C 3"], downs: Float[np.ndarray, "C 3"]
) -> Floor:
    """Up and the floor: from cameras that all are level where they are, else from balance and standing feet.

    Args:
        points: joints of people at many instants, NaN where unknown.
        height: of a person in the same unit.
        rights, downs: of the cameras' images; level cameras have their rights in one plane.
    """
    level = _level(rights)
    up, source = _upright(points, rights, downs), "body axes and cameras"
    balance = _balance(points, up, height)
    if balance is not None:
        up, source = _weighed([(balance, _LEANING_DEG)], rights), "balance"
    if level is not None:
        level = level if level @ up > 0 else -level
        if level @ up > np.cos(np.radians(_SLOPE_DEG)):
            up, source = level, "cameras held level"
    feet = _lowest_feet(points, up, height)
    middle = np.nanmedian(points.reshape(-1, 3), axis=0)
    if len(feet) >= 8:
        if up is not level:
            up, source = _stood_on(feet, up, height), f"{source} and feet"
        ground = float(np.percentile(feet @ up, 20))
        origin = middle + (ground - middle @ up) * up
    else:
        origin = middle
    R = _turn(up)
    return Floor(R, origin, len(feet) >= 8, source)


def _level(rights: np.ndarray) -> np.ndarray | None:
    """The direction square to all cameras' rights; None where they are not in one plane, or nearly parallel."""
    _, values, axes = np.linalg.svd(rights)
    if len(rights) < 3 or values[1] < _TURNED * values[0]:
        return None
    tilt = np.degrees(np.arcsin(np.clip(np.abs(rights @ axes[2]), 0, 1)))
    return axes[2] if tilt.max() < _LEVEL_DEG else None


def _upright(points: np.ndarray, rights: np.ndarray, downs: np.ndarray) -> np.ndarray:
    """Up, as bodies and cameras are held: each says so as firmly as it is seen to."""
    hints = [(-downs.sum(axis=0), _PITCHED_DEG)] if len(downs) else []
    axis = _body_axis(points)
    if axis is not None:
        hints.append(axis)
    return _weighed([(hint / np.linalg.norm(hint), deviation) for hint, deviation in hints], rights)


def _weighed(hints: list[tuple[np.ndarray, float]], rights: np.ndarray) -> np.ndarray:
    """The direction that hints (unit, with their deviations in degrees) and cameras say together: rights are level, but
    for cameras that are rolled (Geman and McClure's weights)."""
    weights = [1 / np.radians(deviation) ** 2 for _, deviation in hints]
    wanted = sum((weight * hint for weight, (hint, _) in zip(weights, hints, strict=True)), np.zeros(3))
    up = wanted / np.linalg.norm(wanted)
    for _ in range(8):
        rolled = np.arcsin(np.clip(rights @ up, -1, 1)) / np.radians(_ROLLED_DEG)
        believed = rights * (1 / (1 + rolled**2) / np.radians(_ROLLED_DEG))[:, None]
        up = np.linalg.solve(sum(weights) * np.eye(3) + believed.T @ believed, wanted)
        up /= np.linalg.norm(up)
    return up


def _body_axis(points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Where heads are from feet, mostly, and its deviation from the vertical in degrees."""

    def middle(name: str) -> np.ndarray:
        return 0.5 * (points[:, INDEX[f"left_{name}"]] + points[:, INDEX[f"right_{name}"]])

    for low, high in (("ankle", "shoulder"), ("knee", "shoulder"), ("hip", "shoulder")):
        axis = middle(high) - middle(low)
        axis = axis[np.isfinite(axis).all(axis=1)]
        axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-12)
        if len(axis) >= 5:
            # The median direction: bows and crouches are on all sides, and fewer.
            up = np.median(axis, axis=0)
            for _ in range(10):
                w = 1 / np.maximum(np.linalg.norm(axis - up, axis=1), 0.05)
                up = (w[:, None] * axis).sum(axis=0) / w.sum()
            apart = np.arccos(np.clip(axis @ up / np.linalg.norm(up), -1, 1))
            return up, float(np.hypot(_LEANING_DEG, np.degrees(np.median(apart))))
    return None


def _balance(points: np.ndarray, up: np.ndarray, height: float) -> np.ndarray | None:
    """Up, such that people's mass is over the foot that they stand on: on average it is, however they lean.

    Args:
        up: unit, about right.
    """
    mass = sum(
        share * ((1 - at) * points[:, INDEX[f"{side}_{a}"]] + at * points[:, INDEX[f"{side}_{b}"]])
        for a, b, share, at in _SEGMENTS
        for side in ("left", "right")
    )
    for _ in range(8):
        above = mass - _support(points, up, height)
        upright = above @ up > _BENT * height
        if upright.sum() < 5:
            return None
        up = np.median(above[upright] / (above[upright] @ up)[:, None], axis=0)
        up /= np.linalg.norm(up)
    return up


def _support(points: np.ndarray, up: np.ndarray, height: float) -> np.ndarray:
    """Where people press on the floor: under the lower foot, or between both."""
    hips = points[:, INDEX["left_hip"]] - points[:, INDEX["right_hip"]]
    forward = np.cross(hips, up)
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-12)
    soles = []
    for side in ("left", "right"):
        ankle, heel, toe = (points[:, INDEX[f"{side}_{name}"]] for name in ("ankle", "heel", "big_toe"))
        sole = (1 - _SOLE) * heel + _SOLE * toe
        under = ankle + height * (_BEFORE_ANKLE * forward - ANKLE * up)
        soles.append(np.where(np.isfinite(sole), sole, under))
    feet = np.stack(soles)
    raised = feet @ up - (feet @ up).min(axis=0)
    load = np.exp(-((raised / (_RAISED * height)) ** 2))
    return np.einsum("fk,fkd->kd", load / load.sum(axis=0), feet)


def _lowest_feet(points: np.ndarray, up: np.ndarray, height: float) -> np.ndarray:
    """The lower foot of every pose, brought to the floor."""
    ankles = [INDEX["left_ankle"], INDEX["right_ankle"]]
    soles = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("heel", "big_toe", "small_toe")]
    candidates = np.concatenate([points[:, soles], points[:, ankles] - ANKLE * height * up], axis=1)
    level = candidates @ up
    known = np.isfinite(level).any(axis=1)
    lowest = np.nanargmin(np.where(np.isfinite(level[known]), level[known], np.inf), axis=1)
    return candidates[known][np.arange(len(lowest)), lowest]


def _stood_on(feet: np.ndarray, up: np.ndarray, height: float) -> np.ndarray:
    """Up, corrected by the floor that most feet stood on.

    Of normals near the bodies' axis that for which the feet lie most nearly at one level: people who walk along a line
    correct the slope along it, people who walk about correct both.
    """
    axis, normal = up, up
    for _ in range(8):
        level = (feet - np.median(feet, axis=0)) @ normal
        # Feet off the floor are above it: those in the upper half count less and less.
        low = level <= np.percentile(level, 60)
        centred = feet[low] - feet[low].mean(axis=0)
        spread = centred.T @ centred / len(centred) / (_UNEVEN * height) ** 2
        normal = np.linalg.solve(_FEET * spread + np.eye(3) / np.radians(_LEANING_DEG) ** 2, axis)
        normal /= np.linalg.norm(normal)
    return normal


def _turn(up: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes `up` to -y."""
    target = np.array([0.0, -1.0, 0.0])
    axis = np.cross(up, target)
    sine, cosine = np.linalg.norm(axis), float(up @ target)
    if sine < 1e-12:
        return np.eye(3) if cosine > 0 else np.diag([1.0, -1.0, -1.0])
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
