"""The `Progress` that stages are given, in this process and in a child."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger("fewview")

FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
_INTERVAL_S = 0.05
_LOG_LIMIT = 1 << 20  # bytes

Send = Callable[[str, Any], None]


class StageProgress:
    """Logs notes and fallbacks, and passes steps, fallbacks and facts on."""

    def __init__(self, send: Send) -> None:
        """`send` gets ("step", (done, total, what)), ("fallback", dict) and ("facts", dataclass)."""
        self._send = send
        self._last = 0.0

    def step(self, done: int, total: int, what: str = "") -> None:
        now = time.monotonic()
        if done >= total or now - self._last >= _INTERVAL_S:  # a million steps must not cost a million redraws
            self._last = now
            self._send("step", (int(done), int(total), what))

    def note(self, message: str) -> None:
        log.info("%s", message)

    def fallback(self, wanted: str, used: str, reason: str) -> None:
        log.warning("%s instead of %s: %s", used, wanted, reason)
        self._send("fallback", {"wanted": wanted, "used": used, "reason": reason})

    def tell(self, facts: Any) -> None:
        self._send("facts", facts)


class Relay:
    """Passes on what a child reports; the child has logged it already."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def step(self, done: int, total: int, what: str = "") -> None:
        self._send("step", (done, total, what))

    def note(self, message: str) -> None:
        """Notes stay in the child's log."""

    def fallback(self, wanted: str, used: str, reason: str) -> None:
        self._send("fallback", {"wanted": wanted, "used": used, "reason": reason})

    def tell(self, facts: Any) -> None:
        self._send("facts", facts)


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written fails the stage, as any of its files would."""
        raise


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Appends what the program's logger says to a file; the logger is afterwards as it was before.

    A log that has grown beyond 1 MiB is first moved to `<name>.1`.
    """
    path.parent.mkdir(exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(path.name + ".1"))
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(FORMAT, DATES))
    level = log.level
    log.addHandler(handler)
    if log.getEffectiveLevel() > logging.INFO:
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        with contextlib.suppress(OSError):  # a full disk was reported when the line was written
            handler.close()
