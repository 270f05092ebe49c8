"""A scene's own process: calls one function, answers through a pipe how it ended, and dies with its parent."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import traceback
from pathlib import Path

from fewview.apps.batches.task import Kind
from fewview.recon.dag.faults import memory_fault
from fewview.recon.dag.process import asked, leave
from fewview.recon.errors import EnvironmentFault, FewviewError, InputError, InUseFault, KilledFault, MemoryFault
from fewview.recon.stage import resolve

ANSWER_LIMIT = 4096
"""Bytes of an answer: it must fit into a pipe that is read only after the child has ended."""
_FIRST_FOR_THE_OOM_KILLER = "500"


def main() -> None:
    """Its arguments are the parent, the pipe for the answer and, for `ps`, the scene's name; it is asked for a function
    and its pickled arguments. Its exit code is that of `fewview run`."""
    # A batch that a script started in the background ignores SIGINT, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(OSError):  # no Linux: what the system ends when memory runs out is its own choice
        Path("/proc/self/oom_score_adj").write_text(_FIRST_FOR_THE_OOM_KILLER)
    parent, answer = map(int, sys.argv[1:3])
    call, arguments = asked(parent, answer)
    code, kind, message = 0, "done", ""
    try:
        resolve(call)(*pickle.loads(arguments))
    except KeyboardInterrupt:
        code, kind = 130, "stopped"
    except BaseException as error:  # noqa: BLE001 - whatever it is, the batch must hear of it
        code = error.exit_code if isinstance(error, FewviewError) else 1
        kind, message = classify(error), text_of(error)
        print(message if isinstance(error, FewviewError) else traceback.format_exc(), file=sys.stderr)
    os.write(answer, json.dumps([kind, message[: ANSWER_LIMIT // 8]]).encode())
    leave(code)


def classify(error: BaseException) -> Kind:
    """What an exception of a run says about trying again."""
    kinds: tuple[tuple[type[BaseException], Kind], ...] = (
        (InputError, "input"),
        (MemoryFault, "memory"),
        (KilledFault, "killed"),
        (InUseFault, "busy"),
        (EnvironmentFault, "io"),
        (FewviewError, "reconstruction"),
        (OSError, "io"),
    )
    if not isinstance(error, FewviewError) and memory_fault(error, "The run"):
        return "memory"
    return next((kind for family, kind in kinds if isinstance(error, family)), "bug")


def text_of(error: BaseException) -> str:
    """One line for the user; a bug's class tells more than its text."""
    return str(error) if isinstance(error, FewviewError) else f"{type(error).__name__}: {error}"
