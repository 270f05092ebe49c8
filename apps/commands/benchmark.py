"""`fewview benchmark`: reconstructs some photos of a set with known cameras, and measures the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from fewview.apps.benchmarks import rooms
from fewview.apps.benchmarks.evaluate import evaluate
from fewview.apps.commands.run import reconstruct
from fewview.apps.options import StageOptions, parse_tiered, stage_options
from fewview.apps.output import deliver
from fewview.data.photosets import PhotoSet, benchmark_split, load_photoset
from fewview.recon.dag import Manifest
from fewview.recon.errors import InputError
from fewview.recon.sfm import STAGE as CAMERAS


@dataclass(frozen=True)
class Arguments:
    """Reconstruct K photos of a set whose cameras are known, and measure cameras and held-out views.

    With --structured3d DIR: measure room layouts instead (--structured3d DIR --help says more).
    """

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


def parse(argv: Sequence[str]) -> Arguments | rooms.Arguments:
    if any(word.partition("=")[0] == "--structured3d" for word in argv):
        return rooms.parse(argv)
    defaults = Arguments(set=tyro.MISSING, views=tyro.MISSING, stages=stage_options(argv))
    return parse_tiered(Arguments, "fewview benchmark", argv, defaults)


def main(arguments: Arguments | rooms.Arguments) -> int:
    if isinstance(arguments, rooms.Arguments):
        return rooms.main(arguments)
    console = Console(stderr=True)
    truth = select_frames(load_photoset(arguments.set), arguments.frames)
    if not 2 <= arguments.views <= len(truth.images):
        raise InputError(
            f"{truth.name} has {len(truth.images)} photos, of which {arguments.views} cannot be taken.",
            f"Ask for 2 to {len(truth.images)} --views.",
        )
    train, test = benchmark_split(len(truth.images), arguments.views)
    out = arguments.out or Path("out") / f"{arguments.set.name}-{arguments.views}"
    # Only the training photos reach the pipeline: no truth leaks in.
    manifest = reconstruct(tuple(truth.images[i] for i in train), out, arguments.stages, console)
    if arguments.stages.dry_run:
        return 0
    figures = {
        "set": truth.name,
        "views": arguments.views,
        "train": [truth.views[i].name for i in train],
        **evaluate(
            truth,
            out,
            train=[truth.views[i].name for i in train],
            test=[truth.views[i].name for i in test],
            optimise_test_poses=arguments.test_poses == "optimised",
        ),
        **costs(manifest),
    }
    deliver(json.dumps(figures, indent=1), arguments.json)
    return 0


def select_frames(truth: PhotoSet, frames: str | None) -> PhotoSet:
    """The frames A:B of a set.

    Raises:
        InputError: `frames` is not A:B with whole numbers.
    """
    if frames is None:
        return truth
    try:
        first, last = (int(part) if part else None for part in frames.split(":"))
    except ValueError:
        raise InputError(f"--frames {frames} is not A:B.", "Give two whole numbers, such as 7:18.") from None
    return PhotoSet(truth.name, truth.images[first:last], truth.views[first:last], truth.units)


def costs(manifest: Manifest) -> dict[str, Any]:
    """Seconds and peak memory by stage (of the run that computed it, where it was cached), and the prior."""
    ran = {name: record for name, record in manifest.stages.items() if record.seconds is not None}
    seconds = {name: record.seconds for name, record in ran.items()}
    return {
        "seconds": {"total": sum(seconds.values()), **seconds},
        "peak_mib": max((r.peak_mib for r in ran.values() if r.peak_mib is not None), default=None),
        "stage_peak_mib": {name: record.peak_mib for name, record in ran.items()},
        "prior": CAMERAS.told(ran[CAMERAS.name].facts).prior if CAMERAS.name in ran else None,
    }
