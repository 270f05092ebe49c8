"""The `fewview` command: picks the subcommand, and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from rich.console import Console
from rich.markup import escape

from fewview.recon.errors import FewviewError

COMMANDS = {
    "run": "photos to cameras, splat, mesh and renders",
    "app": "photos to 3D in a browser",
    "view": "a finished run in the tabs of the app",
    "batch": "many scenes, on one machine or a cluster; continues after any interruption",
    "calibrate": "videos or keypoints of people to cameras, time offsets and 3D motion",
    "overlay": "film the skeletons that were found over the videos",
    "evaluate": "measure calibrated cameras and motion against the truth",
    "demo": "the same on a synthetic room whose truth is known",
    "benchmark": "measure a run against a photo set with known cameras",
    "bench": "measure the rasteriser, what each ingredient of splatting and every threshold is worth",
    "synth": "write synthetic rooms whose truth is known",
    "export": "copy results in the formats other tools read",
    "report": "write the page again that says what came of a run",
    "render": "film a finished run along a camera path",
    "marker": "write the page to print that tells photos how long a metre is",
    "pictures": "plan and elevations to scale, depth in metres, a contact sheet",
    "models": "list or fetch the weights",
    "doctor": "say what this machine lacks, and the fix",
}
"""Each is a module of `fewview.apps.commands`, loaded when asked for."""


INTERRUPTED = 130


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fewview COMMAND ...",
            "",
            *lines,
            "",
            "fewview COMMAND --help says more; fewview --version says which this is.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Returns:
        0 all well; 1 something failed; 2 usage, configuration or input; 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"fewview {version('fewview')}")
        return 0
    if argv[0] not in COMMANDS:
        print(f"fewview: there is no command `{argv[0]}`.\n\n{usage()}", file=sys.stderr)
        return 2
    errors = Console(stderr=True, highlight=False)
    try:
        command = importlib.import_module(f"fewview.apps.commands.{argv[0]}")
        try:
            arguments = command.parse(argv[1:])
        except BrokenPipeError:  # it printed its help, and the reader left, as `| head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
            return 0
        return int(command.main(arguments))
    except FewviewError as error:
        errors.print(
            f"[bold red]Error:[/] {escape(error.what)}\n[bold]Remedy:[/] {escape(error.remedy)}",
            soft_wrap=True,
        )
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted. Finished stages are kept; the same command continues.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
