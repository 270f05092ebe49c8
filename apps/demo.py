"""`fewview demo`: the main job on a synthetic furnished room, compared with its exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from apps.options import StageOptions, stage_options


@dataclass(frozen=True)
class Arguments:
    """Reconstruct a synthetic room from six photos, and compare the result with the truth."""

    stages: Annotated[StageOptions, tyro.conf.arg(name="")]
    out: Path = Path("demo")
    """Folder for the photos (`room/`) and the results (`run/`)."""
    seed: int = 0
    """Which room."""


def parse(argv: Sequence[str]) -> Arguments:
    defaults = Arguments(stages=stage_options(argv))
    return tyro.cli(Arguments, prog="fewview demo", args=list(argv), default=defaults)
    return 0
