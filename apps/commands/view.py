"""`fewview view`: a finished run in the tabs of the app; nothing is computed again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fewview.apps.commands.app import heed_signals, wait
from fewview.apps.results import read_results
from fewview.apps.web.serving import serving


@dataclass(frozen=True)
class Arguments:
    """Show a finished run in a browser: splats, mesh, depth, films, layout, quality, lengths, files."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` or `fewview calibrate` wrote; it is only read."""
    port: int = 7860
    """Where to listen."""
    host: str = "127.0.0.1"
    """`0.0.0.0` shows it to every machine of the network."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview view", args=list(argv))


def main(arguments: Arguments) -> int:
    heed_signals()
    read_results(arguments.run)  # says what is wrong with the folder before anything is served
    with (
        tempfile.TemporaryDirectory(prefix="fewview-view-") as scratch,
        serving(Path(scratch), arguments.run.resolve(), arguments.host, arguments.port) as address,
    ):
        wait(address)
    return 0
