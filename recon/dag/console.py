"""What the user sees of a run: live lines on a terminal, plain ones elsewhere, tables before and after."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from fewview.recon.dag.manifest import Manifest, StageEntry
from fewview.recon.durations import duration

_PLAIN_INTERVAL_S = 10.0
_COLOURS = {
    "ok": "green",
    "cached": "cyan",
    "failed": "red",
    "skipped": "yellow",
    "planned": "blue",
    "running": "blue",
}


class Display:
    """Context manager that shows stages as they run.

    Args:
        console: by default standard error, so that standard output stays free for results.
    """

    def __init__(self, console: Console | None, names: Iterable[str]) -> None:
        self.console = console or Console(stderr=True)
        self._names = list(names)
        self._width = max((len(name) for name in self._names), default=0)
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said = 0.0

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[unit]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line, above the live ones."""
        (self._live.console if self._live else self.console).print(escape(text), highlight=False, soft_wrap=True)

    def started(self, name: str, reason: str) -> None:
        self._said = time.monotonic()
        if self._live:
            description = f"{escape(name):<{self._width}}"
            self._tasks[name] = self._live.add_task(description, total=None, unit="")
        else:
            self.say(f"{name:<{self._width}}  started: {reason}")

    def step(self, name: str, done: int, total: int, what: str) -> None:
        unit = f"{what} {done}/{total}".strip()
        if self._live:
            self._live.update(self._tasks[name], completed=done, total=total, unit=escape(unit))
        elif time.monotonic() - self._said >= _PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            self.say(f"{name:<{self._width}}  {unit}")

    def ended(self, name: str, entry: StageEntry) -> None:
        if self._live and name in self._tasks:
            self._live.remove_task(self._tasks.pop(name))
        if entry.status == "ok":
            text = f"done in {_seconds(entry.seconds)}, peak memory {_mib(entry.peak_mib)}"
        elif entry.status == "failed":
            text = f"failed: {_failure(entry)}"
        else:
            text = f"{entry.status}: {entry.reason}"
        self.say(f"{name:<{self._width}}  {text}")

    def plan(self, manifest: Manifest) -> None:
        """The table of a dry run."""
        table = Table(title=f"Plan for {escape(str(manifest.out))}", title_justify="left")
        for heading in ("stage", "plan", "why"):
            table.add_column(heading, overflow="fold")
        words = {"planned": "run", "cached": "cached", "skipped": "leave out"}
        for name, entry in manifest.stages.items():
            table.add_row(name, _coloured(entry.status, words[entry.status]), escape(entry.reason))
        self.console.print(table)

    def summary(self, manifest: Manifest) -> None:
        """The table at the end: every stage with its seconds and peak memory."""
        table = Table()
        table.add_column("stage")
        table.add_column("status")
        table.add_column("time", justify="right")
        table.add_column("peak memory", justify="right")
        for name, entry in manifest.stages.items():
            table.add_row(name, _coloured(entry.status, entry.status), _seconds(entry.seconds), _mib(entry.peak_mib))
        self.console.print(table)


def _coloured(status: str, text: str) -> str:
    return f"[{_COLOURS[status]}]{text}[/]"


def _failure(entry: StageEntry) -> str:
    assert entry.error is not None
    # A remedy makes it a message for the user; anything else is a bug, whose class tells more than its text.
    prefix = "" if entry.error["remedy"] else f"{entry.error['class']}: "
    return f"{prefix}{entry.error['message']} (log: {entry.log})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else duration(value)


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} MiB"
