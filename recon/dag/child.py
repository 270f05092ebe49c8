"""The child's side of `fewview.recon.dag.isolate`: a fresh interpreter that is asked through standard input."""

from __future__ import annotations

import logging
import pickle
import sys
import traceback
from multiprocessing.connection import Connection

from fewview.recon.dag.memory import peak_mib
from fewview.recon.dag.process import asked, leave
from fewview.recon.dag.reporting import DATES, FORMAT, StageProgress
from fewview.recon.errors import FewviewError
from fewview.recon.stage import resolve


def main() -> None:
    """Runs the function that the parent asks for and answers through a pipe; its arguments are the parent and that.

    Messages are pairs: ("step" | "fallback" | "facts", payload) while it works, then ("done", (value, MiB)) or
    ("error", (pickled exception or None, class, message, what, remedy, trace, MiB)); MiB is the peak memory.
    """
    parent, events = map(int, sys.argv[1:])
    function, args, with_progress = asked(parent, events)
    logger = logging.getLogger("fewview")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, DATES))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    pipe = Connection(events, readable=False)
    try:
        progress = [StageProgress(lambda event, payload: pipe.send((event, payload)))] if with_progress else []
        value = resolve(function)(*args, *progress)
        pipe.send(("done", (value, peak_mib())))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent raises it again
        pipe.send(("error", pack(error)))
    leave(0)


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
        c for c in type(error).__mro__ if not isinstance(error, FewviewError) or c.__module__ == "fewview.recon.errors"
    )
    trace = "".join(traceback.format_exception(error))
    return pickled, known.__name__, str(error), what, remedy, trace, peak_mib()
