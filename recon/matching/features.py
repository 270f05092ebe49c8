"""What a matcher must offer, and the geometry of photos turned by quarters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from fewview.recon.matching.artifact import CERTAIN


@dataclass(frozen=True)
class Features:
    """Keypoints of one image, with what the matcher needs to compare them."""

    keypoints: Float[np.ndarray, "N 2"]
    """Pixels (x, y) of the image, centres at half-integers, float32."""
    scores: Float[np.ndarray, " N"]
    """Strength of each keypoint; scales differ between matchers."""
    descriptors: Any
    """(N, D), in the matcher's own type."""
    width: int
    height: int


@dataclass(frozen=True)
class Matches:
    """Index pairs between two images."""

    pairs: Int[np.ndarray, "M 2"]
    confidence: Float[np.ndarray, " M"]
    """In [0, 1]."""

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def certain(self) -> int:
        """How many the network is certain of."""
        return int((self.confidence > CERTAIN).sum())

    def only(self, keep: Bool[np.ndarray, " M"]) -> Matches:
        return Matches(self.pairs[keep], self.confidence[keep])


class Matcher(Protocol):
    """Finds and compares keypoints."""

    name: str
    """As `pairs.json` records it."""
    turns: bool
    """Whether photos must be turned upright to one another before they match."""

    def detect(self, image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"] | None) -> Features:
        """Keypoints inside the mask, strongest first."""

    def match(self, a: Features, b: Features) -> Matches:
        """Each keypoint at most once."""

    def affinity(self, a: Features, b: Features) -> int:
        """A cheap count that is large for images that will match."""


def turn_image(image: np.ndarray, quarters: int) -> np.ndarray:
    """The image turned counter-clockwise by quarters of a full turn."""
    return np.ascontiguousarray(np.rot90(image, quarters))


def turn_features(features: Features, quarters: int) -> Features:
    """Keypoints as `turn_image` moves them, in the same order; the descriptors are left as they are."""
    points, width, height = features.keypoints, features.width, features.height
    for _ in range(quarters % 4):
        points = np.stack([points[:, 1], width - points[:, 0]], axis=1)
        width, height = height, width
    return replace(features, keypoints=points, width=width, height=height)
