"""Being asked to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP (a closed terminal, Slurm's time limit) interrupt as Ctrl-C does. Under nohup, SIGHUP stays
    ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(name) != signal.SIG_IGN]
    before: list[tuple[signal.Signals, Any]] = [(name, signal.signal(name, interrupt)) for name in names]
    try:
        yield
    finally:
        for name, handler in before:
            signal.signal(name, handler)
