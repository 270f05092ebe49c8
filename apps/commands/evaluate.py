"""`fewview evaluate`: measures a calibrated rig against cameras and motion that are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fewview.apps.output import deliver
from fewview.calibration.evaluate import evaluate_rig
from fewview.calibration.formats.plain import without_nan


@dataclass(frozen=True)
class Arguments:
    """Measure what `fewview calibrate` found against the truth, in the truth's metres."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview calibrate` wrote."""
    truth: Path
    """The true cameras, in any format that `calibrate --known` takes."""
    motion: Path | None = None
    """npz with the true joints: `xyz` as ours, or `keypoints3d_m` (frame, joint, 3)."""
    json: Path | None = None
    """File for the figures; standard output if not given."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview evaluate", args=list(argv))


def main(arguments: Arguments) -> int:
    figures = evaluate_rig(arguments.out, arguments.truth, arguments.motion)
    deliver(json.dumps(without_nan(figures), indent=1, allow_nan=False), arguments.json)
    return 0
