"""`fewview app`: photos to 3D in a browser."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from apps.web.serving import serving


@dataclass(frozen=True)
class Arguments:
    """Serve the app to a browser on this machine: drop photos, watch the stages, look, measure and download."""

    port: int = 7860
    """Where to listen."""
    host: str = "127.0.0.1"
    """`0.0.0.0` lets every machine of the network in; visitors cannot see one another's runs, but there is no login."""
    runs: Path = Path("fewview-runs")
    """Folder of the visitors' runs; those that nobody used for a day are deleted."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview app", args=list(argv))


def main(arguments: Arguments) -> int:
    with serving(arguments.runs, None, arguments.host, arguments.port) as address:
        wait(address)
    return 0


def wait(address: str) -> None:
    """Says where to look, and returns when the user or the system ends the program."""
    # SIGTERM ends it as Ctrl-C does, so that the runs at work end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"Open {address} (Ctrl-C ends it)", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("Ending.")
