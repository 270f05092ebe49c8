"""Runs a function in a child process, so that native code that aborts is an error message and not a lost run.

A fresh interpreter is started instead of multiprocessing's "spawn": that imports the caller's main module
again, which fails for scripts without a guard, from standard input and in notebooks.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fewview.recon.errors
from fewview.recon.dag import child
from fewview.recon.dag.memory import peak_mib
from fewview.recon.dag.process import OwnProcess
from fewview.recon.errors import KilledFault, ReconstructionError
from fewview.recon.progress import Progress
from fewview.recon.stage import import_path

_POLL_S = 0.2
_EXIT_S = 5.0


class RemoteError(Exception):
    """An exception of a child process whose class is not rebuilt here: its text and its trace."""

    def __init__(self, class_name: str, message: str) -> None:
        super().__init__(class_name, message)
        self.class_name, self.message = class_name, message

    def __str__(self) -> str:
        return f"{self.class_name}: {self.message}"


class RemoteTrace(Exception):
    """The cause of an exception that came from a child process: shows the trace it had there."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f"in the child process:\n{self.trace}"


def run_isolated(
    function: Callable[..., Any] | str,
    args: Sequence[Any] = (),
    *,
    log: Path,
    progress: Progress | None = None,
) -> Any:
    """Calls `function(*args)`, or `function(*args, progress)` where progress is given, in a child process.

    The child's standard output and error, and its logger, are appended to `log`. It dies with this process,
    and on Linux also with the thread that called this.

    Args:
        function: importable from a module, or "module:name".
        args: picklable.
        progress: gets what the child reports.

    Returns:
        What the function returned; picklable.

    Raises:
        FewviewError: what the function raised, as the nearest class of `fewview.recon.errors`.
        ReconstructionError: the child aborted, crashed or ended without an answer.
        KilledFault: the child was killed, as the system does when memory runs out.
        RemoteError: a library's exception; built-in ones come as they are. The trace is the cause.
    """
    return Child(function, args, log=log, progress=progress).run()


class Child:
    """One call in a child process; `peak_mib` holds its peak memory afterwards."""

    def __init__(
        self,
        function: Callable[..., Any] | str,
        args: Sequence[Any],
        *,
        log: Path,
        progress: Progress | None,
        name: str = "",
    ) -> None:
        self._function = import_path(function)
        self._request = (self._function, tuple(args), progress is not None)
        self._log, self._progress = log, progress
        self._name = name or f"`{self._function}`"
        self.peak_mib: float | None = None

    def run(self) -> Any:
        # Native libraries write their temporary files where a child that is killed leaves them.
        with tempfile.TemporaryDirectory(prefix="fewview-") as scratch:
            return self._run(scratch)

    def _run(self, scratch: str) -> Any:
        reader, writer = os.pipe()
        try:
            with open(self._log, "ab") as log:
                process = OwnProcess(
                    child.main,
                    str(os.getpid()),
                    str(writer),
                    log=log,
                    request=self._request,
                    environment={"TMPDIR": scratch},
                    inherit=[writer],
                )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        with Connection(reader, writable=False) as pipe:
            try:
                answer = self._converse(process, pipe)
                process.wait(_EXIT_S)  # one that answered may hang while it ends
            finally:  # also after Ctrl-C, or a bug in what the progress calls
                code = process.end()
        if answer is None:
            raise self._lost(code)
        kind, payload = answer
        if kind == "done":
            value, self.peak_mib = payload
            return value
        pickled, class_name, message, what, remedy, trace, self.peak_mib = payload
        raise _rebuild(pickled, class_name, message, what, remedy) from RemoteTrace(trace)

    def _converse(self, process: OwnProcess, pipe: Connection) -> tuple[str, Any] | None:
        """The child's answer, or None where it ended without one."""
        while True:
            if not pipe.poll(_POLL_S):
                self.peak_mib = peak_mib(process.pid) or self.peak_mib
                if not process.running and not pipe.poll(0):
                    return None
                continue
            try:
                event, payload = pipe.recv()
            except EOFError:
                return None
            except OSError as error:  # killed in the middle of a message
                if error.errno in (None, errno.EPIPE, errno.ECONNRESET):
                    return None
                raise
            if event in ("done", "error"):
                return event, payload
            assert self._progress is not None
            if event == "step":
                self._progress.step(*payload)
            elif event == "fallback":
                self._progress.fallback(**payload)
            elif event == "facts":
                self._progress.tell(payload)

    def _lost(self, code: int) -> KilledFault | ReconstructionError:
        if code == -signal.SIGKILL:
            peak = f" at {self.peak_mib:.0f} MiB" if self.peak_mib else ""
            return KilledFault(
                f"{self._name} was killed (SIGKILL){peak}: probably the system ran out of memory.",
                f"Close other programs or ask for less; see {self._log}.",
            )
        if code < 0:
            return ReconstructionError(
                f"{self._name} crashed in native code ({signal.Signals(-code).name}).",
                f"Its last lines are in {self._log}.",
            )
        return ReconstructionError(
            f"{self._name} ended with exit code {code} and no result.", f"Its last lines are in {self._log}."
        )


def _rebuild(
    pickled: bytes | None, class_name: str, message: str, what: str | None, remedy: str | None
) -> BaseException:
    if what is not None and remedy is not None:
        error: BaseException = getattr(fewview.recon.errors, class_name)(what, remedy)
        return error
    if pickled is not None:
        error = pickle.loads(pickled)
        return error
    return RemoteError(class_name, message)
