"""OUT/batch.jsonl: one JSON object a line, appended and synced as things happen (docs/batch.md lists them).

The order of the lines says what came first; the wall clock in them is for people, and may jump.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from fewview.recon.dag.files import sync_folder

NAME = "batch.jsonl"


def read(out: Path) -> list[dict[str, Any]]:
    """The events so far. A line that a kill or a power cut tore is left out."""
    try:
        content = (out / NAME).read_bytes()
    except FileNotFoundError:
        return []
    events = []
    for line in content.split(b"\n"):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return events


class Journal:
    """Context manager that appends events. Hold the lock of the folder."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self._began = time.monotonic()

    def __enter__(self) -> Journal:
        self._file = open(self._path, "ab")
        size = self._file.tell()
        if size and not self._ends_with_line_break(size):
            self._file.write(b"\n")  # a torn line stays alone
        self._file.flush()
        sync_folder(self._path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, event: str, **facts: Any) -> dict[str, Any]:
        """Appends one event and returns it; it then survives a power cut.

        Raises:
            OSError: it could not be written.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        elapsed = round(time.monotonic() - self._began, 3)
        whole = {"event": event, **facts, "elapsed_s": elapsed, "time": now}
        self._file.write(json.dumps(whole, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return whole

    def _ends_with_line_break(self, size: int) -> bool:
        with open(self._path, "rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"
