"""`fewview app`: photos to 3D in a browser."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from fewview.apps.web.serving import serving


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
    heed_signals()
    with serving(arguments.runs, None, arguments.host, arguments.port) as address:
        wait(address)
    return 0


def heed_signals() -> None:
    """Has SIGTERM end this process as Ctrl-C does, so that runs at work end, too, and nothing is left behind."""
    import pycolmap  # noqa: F401 - takes SIGTERM over when it is first imported, to abort

    # A shell that starts it in the background makes it, and its runs after it, deaf to SIGINT.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.default_int_handler)


def wait(address: str) -> None:
    """Says where to look, and returns when the user or the system ends the program."""
    try:
        print(f"Open {address} (Ctrl-C ends it)", flush=True)
        while True:  # `signal.pause` would sleep on if the signal came just before it
            time.sleep(1)
    except KeyboardInterrupt:
        print("Ending.")
