"""`fewview batch status`: what became of a batch, also while it runs; nothing is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from fewview.apps.batches import journal
from fewview.apps.batches.display import stage_of
from fewview.apps.batches.history import fold
from fewview.apps.batches.summary import as_json, counts, remarks, rows
from fewview.recon.dag.lock import at_work
from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """Say what became of a batch, also while it runs. Nothing is touched."""

    out: Annotated[Path, tyro.conf.Positional]
    """Its output folder."""
    json: bool = False
    """Print it as JSON on standard output."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview batch status", args=list(argv))


def main(arguments: Arguments) -> int:
    """As the batch would end now: 0 all done, 1 otherwise."""
    if not (arguments.out / journal.NAME).is_file():
        raise InputError(
            f"`{arguments.out}` is not the folder of a batch (it holds no {journal.NAME}).",
            "Name the folder that was given to `fewview batch` with --out.",
        )
    history = fold(journal.read(arguments.out))
    found = rows(history)
    owner = at_work(arguments.out)
    number = counts(found)
    if arguments.json:
        print(as_json(arguments.out, found, owner is not None))
    else:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        for line in remarks(found):
            console.print(line)
        for item in found:
            if item.status == "running" and owner:
                console.print(f"{item.name}  running: {stage_of(arguments.out / item.name)}")
        state = f"at work: {owner}" if owner else "interrupted" if history.open else "ended"
        console.print(", ".join(f"{count} {status}" for status, count in number.items()) + f" ({state})")
    return 0 if number["done"] == len(found) else 1
