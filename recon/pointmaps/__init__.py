"""Stage `pointmaps`: cameras and depth as a network sees them, or as pre-computed pointmaps say (docs/pointmaps.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fewview.recon.progress import Progress
from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class PointmapsConfig:
    """Where pointmaps come from."""

    source: str = field(default="", metadata={"key": lambda source: source.partition(":")[0]})
    """A source as in `fewview.recon.camera_source`: `pointmaps:PATH`, or a network's."""

    def needs(self) -> tuple[str, ...]:
        """Only MASt3R looks at pairs: at those that matching found worth it."""
        return ("photos", "matches") if self.source == "mast3r" else ("photos",)

    def sources(self) -> tuple[Path, ...]:
        """The user's files that the stage reads.

        Raises:
            InputError: the pointmaps are missing, or the package of the network.
        """
        from fewview.recon.camera_source import parse_source

        return parse_source(self.source).files()


@dataclass(frozen=True)
class PointmapsFacts:
    """What the stage tells."""

    photos: str | None = None
    """Those with pointmaps, of how many."""
    focal_px: Mapping[str, float] = field(default_factory=dict)
    """By the photo's name."""
    licence: str | None = None
    """Of the network."""
    pairs: int | None = None
    """Of photos, where pointmaps are pairwise."""
    pairs_left_out: tuple[tuple[str, str], ...] = ()
    """Those that contradict the others."""


def run(inputs: Mapping[str, Path], config: PointmapsConfig, out: Path, progress: Progress) -> None:
    """Fill `out` with `cameras.json` and the depth of each photo (docs/artifacts.md).

    Run it in a child process: a network's memory is free again when it ends.

    Args:
        inputs: `photos`; `matches` too, where a network looks at pairs.

    Raises:
        InputError: pointmaps cannot be read or used, or are of other photos.
        ReconstructionError: pairs do not tie the photos together.
    """
    from fewview.recon.pointmaps.stage import place_by_pointmaps

    place_by_pointmaps(inputs["photos"], inputs.get("matches"), config.source, out, progress)


STAGE = StageSpec(
    name="pointmaps",
    title="Pointmaps",
    run=run,
    Config=PointmapsConfig,
    Facts=PointmapsFacts,
    needs=PointmapsConfig.needs,
    sources=PointmapsConfig.sources,
    isolated=True,  # a network's memory is free again when its process ends
)

__all__ = ["STAGE", "PointmapsConfig", "PointmapsFacts", "run"]
