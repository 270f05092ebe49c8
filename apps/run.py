"""`fewview run`: from photos to cameras, splat, mesh and renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from apps.options import StageOptions, stage_options


@dataclass(frozen=True)
class Arguments:
    """Turn 3 to 12 photos of a place into cameras, Gaussian splats, a mesh and renders."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """A folder of photos, photos, or a video."""
    out: Path
    """Folder for the results; giving the same command again continues there."""
    stages: Annotated[StageOptions, tyro.conf.arg(name="")]
    json: bool = False
    """Print the manifest as JSON on standard output (progress goes to standard error)."""


def parse(argv: Sequence[str]) -> Arguments:
    defaults = Arguments(photos=tyro.MISSING, out=tyro.MISSING, stages=stage_options(argv))
    return tyro.cli(Arguments, prog="fewview run", args=list(argv), default=defaults)
    return 0
