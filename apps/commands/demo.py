"""`fewview demo`: the main job on a synthetic furnished room, compared with its exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from fewview.apps.benchmarks.evaluate import evaluate
from fewview.apps.commands.report import reported
from fewview.apps.commands.run import RESULTS, reconstruct
from fewview.apps.options import StageOptions, parse_tiered, stage_options
from fewview.data.gallery import generate, write_scene
from fewview.data.photosets import load_photoset


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
    return parse_tiered(Arguments, "fewview demo", argv, defaults)


VIEWS = 6


def main(arguments: Arguments) -> int:
    console = Console(stderr=True)
    room, run = arguments.out / "room", arguments.out / "run"
    if not (room / "cameras.json").is_file():
        console.print(f"Photographing a synthetic room (seed {arguments.seed}) into {room}")
        write_scene(generate(seed=arguments.seed, views=VIEWS, walk="around"), room)
    truth = load_photoset(room)
    with reported(run, console, arguments.stages.dry_run):
        reconstruct(tuple(truth.images), run, arguments.stages, console)
    if arguments.stages.dry_run or arguments.stages.until is not None:
        return 0
    figures = evaluate(truth, run, train=[view.name for view in truth.views], test=[], optimise_test_poses=False)
    table = Table("against the exact truth", "", title="Demo")
    table.add_row("photos registered", f"{figures['registered']} of {len(truth.views)}")
    table.add_row("rotation error, mean over pairs", f"{figures['pairs']['rotation_deg']['mean']:.3f} degrees")
    table.add_row("direction error, mean over pairs", f"{figures['pairs']['translation_deg']['mean']:.3f} degrees")
    table.add_row("focal length error", f"{100 * figures['focal_relative_error']:.2f} %")
    console.print(table)
    console.print("Look at:")
    for name, path in {**RESULTS, "compare": "renders/compare"}.items():
        if (run / path).exists():
            console.print(f"  {name:<8} {run / path}", soft_wrap=True)
    return 0
