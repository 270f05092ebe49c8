"""`fewview report`: writes the report of a run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from fewview.apps.reporting import NAME, write_report
from fewview.recon.errors import EnvironmentFault, FewviewError


@dataclass(frozen=True)
class Arguments:
    """Write report.html into the folder of a run: what came of it, on one page that needs no network."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `fewview run` or `fewview calibrate` wrote."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview report", args=list(argv))


def main(arguments: Arguments) -> int:
    print(write_report(arguments.run))
    return 0


@contextmanager
def reported(out: Path, console: Console, dry_run: bool = False) -> Iterator[None]:
    """Writes the report when the run within has ended, well or not; nothing in a dry run.

    The error of a failed run comes through in any case; that its report could not be written is said before it.

    Raises:
        EnvironmentFault: the run went well, and its report could not be written.
    """
    if dry_run:
        yield
        return
    before = _manifest(out)
    try:
        yield
    except BaseException:
        # A run that was refused, such as for another one at work there, has left the manifest alone.
        if _manifest(out) != before:
            try:
                console.print(f"  report   {write_report(out)}", soft_wrap=True, markup=False)
            except (FewviewError, OSError) as fault:
                console.print(f"The report could not be written: {fault}", soft_wrap=True, markup=False)
        raise
    try:
        write_report(out)
    except (FewviewError, OSError) as fault:
        raise EnvironmentFault(
            f"The run went well and its results are kept, but {out / NAME} could not be written: {fault}",
            f"Put that right, then give `fewview report {out}`.",
        ) from fault


def _manifest(out: Path) -> bytes | None:
    path = out / "manifest.json"
    return path.read_bytes() if path.is_file() else None
