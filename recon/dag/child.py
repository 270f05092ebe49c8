"""The child's side of `recon.dag.isolate`: a fresh interpreter that is asked through standard input."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

from recon.dag.memory import peak_mib
from recon.dag.reporting import DATES, FORMAT, StageProgress
from recon.errors import FewviewError
from recon.stage import resolve

ORPHANED = 113
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs the function that the parent asks for and answers through a pipe; its arguments are that and the parent.

    Messages are pairs: ("step" | "fallback" | "facts", payload) while it works, then ("done", (value, MiB)) or
    ("error", (pickled exception or None, class, message, what, remedy, trace, MiB)); MiB is the peak memory.
    """
    events, parent = map(int, sys.argv[1:])
    os.set_inheritable(events, False)
    die_with_parent(parent)
    faulthandler.enable()  # a crash in native code leaves its Python stack in the log
    logger = logging.getLogger("fewview")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, DATES))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    function, args, with_progress = pickle.load(sys.stdin.buffer)
    threading.Thread(target=watch, args=(sys.stdin.buffer,), name="fewview-parent", daemon=True).start()
    pipe = Connection(events, readable=False)
    try:
        progress = [StageProgress(lambda event, payload: pipe.send((event, payload)))] if with_progress else []
        value = resolve(function)(*args, *progress)
        pipe.send(("done", (value, peak_mib())))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent raises it again
        pipe.send(("error", pack(error)))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the answer is given: a library that crashes while it is unloaded cannot take it back


def pack(error: BaseException) -> tuple[bytes | None, str, str, str | None, str | None, str, float | None]:
    """An exception as it travels to the parent. Only built-in ones are pickled: others may load libraries."""
    if isinstance(error, MemoryError):  # numpy has its own, which says no more
        error = MemoryError(str(error)).with_traceback(error.__traceback__)
    pickled = None
    if isinstance(error, Exception) and type(error).__module__ == "builtins":
        try:
            pickled = pickle.dumps(error)
            pickle.loads(pickled)
        except (pickle.PicklingError, TypeError, AttributeError):
            pickled = None
    what, remedy = (error.what, error.remedy) if isinstance(error, FewviewError) else (None, None)
    # The nearest class that the parent knows without loading the stage's modules.
    known = next(
        c for c in type(error).__mro__ if not isinstance(error, FewviewError) or c.__module__ == "recon.errors"
    )
    trace = "".join(traceback.format_exception(error))
    return pickled, known.__name__, str(error), what, remedy, trace, peak_mib()


def die_with_parent(parent: int) -> None:
    """Has the kernel end this process together with `parent`, the process that started it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(ORPHANED)


def watch(stdin: BinaryIO | Any) -> None:
    """Ends this process when the parent's end of the pipe closes; nothing more is ever sent through it."""
    stdin.read()
    os._exit(ORPHANED)
