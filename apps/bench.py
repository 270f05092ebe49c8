"""`fewview bench`: measures the speed and the memory of what is written for this project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console


@dataclass(frozen=True)
class Arguments:
    """Measure the rasteriser on this machine: one training step by part, beside plain torch, in synthetic scenes of
    512 x 384 pixels; its share of the machine's arithmetic; the memory that training takes. Takes a few minutes; the
    machine should do nothing else."""

    what: Annotated[Literal["rasteriser"], tyro.conf.Positional]
    json: Path | None = None
    """File for the figures; standard output if not given."""
    gaussians: tuple[int, ...] = (50_000, 100_000, 300_000)
    """Sizes of the scenes."""
    steps: int = 30
    """Timed steps of each scene."""
    torch_up_to: int = 100_000
    """Largest scene that plain torch is given, too: it takes 3 GB of memory for 100,000 and 8 GB for 300,000."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview bench", args=list(argv))


def main(arguments: Arguments) -> int:
    from splatting.benchmark import benchmark_rasteriser

    console = Console(stderr=True)
    figures = benchmark_rasteriser(
        arguments.gaussians,
        arguments.steps,
        arguments.torch_up_to,
        progress=lambda what: console.print(f"Measuring: {what}"),
    )
    text = json.dumps(figures, indent=1)
    if arguments.json is None:
        print(text)
    else:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0
