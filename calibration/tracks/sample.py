"""What bundle adjustment works on: a fixed number of poses, each one person at one instant, as every camera saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

PIXEL_DEVIATION = 1.0
"""No detector is better than this, pixels."""
BODY_DEVIATION = 0.01
"""Standard deviation of a joint, in heights of the person in the image."""


@dataclass(frozen=True)
class Sample:
    """K poses of J joints in C cameras."""

    xy: Float[np.ndarray, "C K J 2"]
    """Pixels; 0 where the weight is 0."""
    velocity: Float[np.ndarray, "C K J 2"]
    """Pixels a second."""
    weight: Float[np.ndarray, "C K J"]
    """Confidence; 0 where absent."""
    sigma: Float[np.ndarray, "C K"]
    """Standard deviation of the joints in pixels."""
    offsets_s: Float[np.ndarray, "C T"]
    """Offsets of the cameras' clocks at which this was sampled, per take."""
    take: Int[np.ndarray, " K"]
    person: Int[np.ndarray, " K"]
    instant_s: Float[np.ndarray, " K"]
    """Common time."""

    @property
    def seen(self) -> Bool[np.ndarray, "C K J"]:
        return self.weight > 0


def concatenate(samples: list[Sample]) -> Sample:
    """Poses of several samples of the same cameras and takes."""
    first = samples[0]

    def joined(name: str, axis: int) -> np.ndarray:
        return np.concatenate([getattr(s, name) for s in samples], axis=axis)

    return Sample(
        xy=joined("xy", 1),
        velocity=joined("velocity", 1),
        weight=joined("weight", 1),
        sigma=joined("sigma", 1),
        offsets_s=first.offsets_s,
        take=joined("take", 0),
        person=joined("person", 0),
        instant_s=joined("instant_s", 0),
    )


def deviation_px(xy: Float[np.ndarray, "*N J 2"], present: Bool[np.ndarray, "*N J"]) -> Float[np.ndarray, "*N"]:
    """Expected deviation of a person's joints from the size of its bounding box, pixels."""
    inside = np.where(present[..., None], xy, np.nan)
    empty = ~present.any(axis=-1)
    inside[empty] = 0
    extent = np.nanmax(inside, axis=-2) - np.nanmin(inside, axis=-2)
    return np.maximum(PIXEL_DEVIATION, BODY_DEVIATION * extent.max(axis=-1))
