"""Stage `matches`: which points of which photos show the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io.weights import digest
from fewview.recon.progress import Progress
from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class MatchingConfig:
    """How photos are matched."""

    keypoints: int = 2048
    """At most so many a photo."""
    long_side: int = 1024
    """Of the images that keypoints are found in, in pixels."""
    max_error_px: float = 4.0
    """How far a match may lie from the epipolar line, in pixels of an image of `long_side`."""
    min_matches: int = 15
    """A pair with fewer verified matches counts as unmatched."""
    neighbours: int = 8
    """Beyond 12 photos, each is matched with so many of those most like it."""
    window: int = 3
    """Beyond 12 photos, each is also matched with so many of those that follow it, by name or in its video."""
    seed: int = 0
    """Of the random sampling in two-view verification."""

    def __post_init__(self) -> None:
        if self.keypoints < 64 or self.long_side < 64:
            raise InputError("Matching needs at least 64 keypoints and a long side of 64 px.", "Ask for more.")
        if self.neighbours < 1 or self.window < 0:
            raise InputError(
                "Every photo needs at least 1 neighbour, and a window of 0 or more.", "Correct the matching options."
            )
        if self.max_error_px <= 0 or self.min_matches < 8:
            raise InputError(
                "max_error_px must be positive and min_matches at least 8.", "Correct the matching options."
            )

    def weights(self) -> tuple[str, ...]:
        """SHA-256 of the networks' files."""
        return digest("aliked-n16"), digest("lightglue-aliked")


@dataclass(frozen=True)
class SecondLook:
    """What another look at photos that hardly match cost and brought."""

    keypoints: int
    """At most so many a photo."""
    photos: int
    """That it looked at."""
    pairs: int
    """That it matched."""
    better: int
    """Pairs in which it found more."""
    seconds: float


@dataclass(frozen=True)
class MatchingFacts:
    """What the stage tells."""

    turned_deg: Mapping[str, int] = field(default_factory=dict)
    """By how much a photo was turned to match others, by its name."""
    matcher: str | None = None
    pairs: str | None = None
    """Those that were matched, of how many."""
    masks_hide: bool = False
    """Whether keypoints were looked for only where masks let."""
    fisheyes: Mapping[str, float] = field(default_factory=dict)
    """Focal length in long sides, by the camera group of those that have a fisheye."""
    second_look: SecondLook | None = None
    still: Mapping[str, int] = field(default_factory=dict)
    """Matches that were dropped because they do not move while others do, by the names of their two photos."""


def run(inputs: Mapping[str, Path], config: MatchingConfig, out: Path, progress: Progress) -> None:
    """Match the photos: `features/`, `pairs.json` and `pairs/` in `out` (docs/artifacts.md).

    Up to 12 photos, every pair is matched; of more, each photo with those most like it, so that the cost grows
    with their number. Photos that match too little are also tried turned by quarters. Without the networks'
    weights, SIFT is used and said to be.

    Args:
        inputs: `photos`.
    """
    from fewview.recon.matching.stage import match_photos  # torch and kornia take seconds to import

    match_photos(inputs["photos"], config, out, progress)


STAGE = StageSpec(
    name="matches",
    title="Matches",
    run=run,
    Config=MatchingConfig,
    Facts=MatchingFacts,
    needs=("photos",),
    weights=MatchingConfig.weights,
    typical_s=13.0,
)

__all__ = ["STAGE", "MatchingConfig", "MatchingFacts", "SecondLook", "run"]
