"""Stage `pointmaps`: cameras and depth as a network sees them, or as pre-computed pointmaps say (docs/pointmaps.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recon.progress import Progress


@dataclass(frozen=True)
class PointmapsConfig:
    """Where pointmaps come from."""

    source: str = field(metadata={"key": lambda source: source.partition(":")[0]})
    """A rung of `recon.ladder`: `pointmaps:PATH`, or a network's."""


def run(inputs: Mapping[str, Path], config: PointmapsConfig, out: Path, progress: Progress) -> None:
    """Fill `out` with `cameras.json` and the depth of each photo (docs/artifacts.md).

    Run it in a child process: a network's memory is free again when it ends.

    Args:
        inputs: `photos`; `matches` too, where a network looks at pairs.

    Raises:
        InputError: pointmaps cannot be read or used, or are of other photos.
        ReconstructionError: pairs do not tie the photos together.
    """
    from recon.priors.stage import place_by_pointmaps

    place_by_pointmaps(inputs["photos"], inputs.get("matches"), config.source, out, progress)


__all__ = ["PointmapsConfig", "run"]
