"""`fewview benchmark`: reconstructs some photos of a set with known cameras, and measures the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from apps.options import StageOptions, stage_options
from recon.dag import Manifest


@dataclass(frozen=True)
class Arguments:
    """Reconstruct K photos of a set whose cameras are known, and measure cameras and held-out views."""

    set: Annotated[Path, tyro.conf.Positional]
    """Folder with `images/` and `cameras.json` (see data/photosets.py)."""
    views: int
    """How many photos to reconstruct from, evenly spaced; of the rest, six are for testing."""
    stages: Annotated[StageOptions, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder for the run; `out/<set>-<views>` if not given."""
    json: Path | None = None
    """File for the figures; standard output if not given."""
    frames: str | None = None
    """Use only the frames A:B of the set, as a Python slice."""
    test_poses: Literal["optimised", "fixed"] = "optimised"
    """Also optimise the test poses against the frozen Gaussians, or score them only where they are."""


def parse(argv: Sequence[str]) -> Arguments:
    defaults = Arguments(set=tyro.MISSING, views=tyro.MISSING, stages=stage_options(argv))
    return tyro.cli(Arguments, prog="fewview benchmark", args=list(argv), default=defaults)


def costs(manifest: Manifest) -> dict[str, Any]:
    """Seconds and peak memory by stage (of the run that computed it, where it was cached), and the prior."""
    ran = {name: record for name, record in manifest.stages.items() if record.seconds is not None}
    seconds = {name: record.seconds for name, record in ran.items()}
    return {
        "seconds": {"total": sum(seconds.values()), **seconds},
        "peak_mib": max(
            (record.peak_mib for record in ran.values() if record.peak_mib is not None), default=None
        ),
        "stage_peak_mib": {name: record.peak_mib for name, record in ran.items()},
        "prior": ran["cameras"].facts.get("prior") if "cameras" in ran else None,
    }
