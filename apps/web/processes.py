"""Starts the child process of a run, and ends it with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from apps import cli
from recon.dag.process import command

_PATIENCE_S = {signal.SIGINT: 5.0, signal.SIGTERM: 2.0, signal.SIGKILL: 10.0}
"""How long each signal gets until the next one follows."""


def start(arguments: Sequence[str], log: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """Runs `fewview ARGUMENTS` in a session of its own; what it says is written to `log`.

    Args:
        scratch: folder for its temporary files, which are pieces of what a visitor sent; made where absent.
    """
    scratch.mkdir(exist_ok=True)
    with open(log, "wb") as file:
        return subprocess.Popen(
            command(cli.main, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=log.parent,
            env={**os.environ, "TMPDIR": str(scratch)},
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process of `start`: asks it to stop, then kills it; no descendant survives."""
    for sign, patience in _PATIENCE_S.items():
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    for pid in session_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def session_of(leader: int) -> list[int]:
    """The living processes of a session: all that its leader started, in whatever process group (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found
