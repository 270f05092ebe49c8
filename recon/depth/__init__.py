"""Stage `depth`: dense depth from posed photos, by multi-view stereo, completion and pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class DepthConfig:
    """How depth is found."""

    long_side: int = 512
    """Of the depth maps, pixels."""
    sources: int = 3
    """Photos that each photo is matched against (at most 8)."""
    geometric_rounds: int = 2
    """Rounds in which the photos' estimates must agree with each other."""
    completion: bool = True
    """Fill what only one photo sees or stereo cannot match (marked, with lower confidence)."""
    seed: int = 0


@dataclass(frozen=True)
class ViewFact:
    """Of the pixels of one depth map."""

    name: str
    """Of the photo."""
    verified: float
    """Share whose depth another photo confirms."""
    completed: float
    """Share whose depth is a guess."""
    confidence: float
    """Mean over the known ones, 0 to 1."""


@dataclass(frozen=True)
class DepthFacts:
    """What the stage tells."""

    views: tuple[ViewFact, ...] = ()
    points: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By part of the work."""


STAGE = StageSpec(
    name="depth",
    title="Depth maps",
    run=f"{__name__}.stage:run",
    Config=DepthConfig,
    Facts=DepthFacts,
    needs=("photos", "cameras"),
    typical_s=13.0,
)

__all__ = ["STAGE", "DepthConfig", "DepthFacts", "ViewFact"]
