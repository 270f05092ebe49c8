"""What the user sees while a batch runs: a live table on a terminal, a line an event elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from fewview.apps.batches.history import Event, History
from fewview.apps.batches.summary import counts, rows
from fewview.recon.dag.live import read_step
from fewview.recon.durations import duration, rough

_REDRAW_S = 1.0


class Display:
    """Context manager that shows the history as it grows."""

    def __init__(self, console: Console, history: History, out: Path, memory: Callable[[], dict[str, float]]) -> None:
        """`memory` gives the MiB that running scenes take, where it is known."""
        self._console, self._history, self._out, self._memory = console, history, out, memory
        # Standard output is for results, and does not belong above the table.
        live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live = live if console.is_terminal else None
        self._began = time.monotonic()
        self._drawn = 0.0
        self._since: dict[str, float] = {}
        self._ended = 0

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def event(self, event: Event) -> None:
        """Shows what was just written to the journal, above the table."""
        kind, name = event["event"], event.get("scene", "")
        if kind == "started":
            self._since[name] = time.monotonic()
        elif kind in ("done", "failed"):
            self._ended += 1
        tell(self._console, event)

    def refresh(self) -> None:
        """Redraws the table where it is time to."""
        if self._live and time.monotonic() - self._drawn >= _REDRAW_S:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Group:
        found = rows(self._history)
        number = counts(found)
        elapsed = time.monotonic() - self._began
        left = number["running"] + number["waiting"]
        head = ", ".join(f"{count} {status}" for status, count in number.items()) + f"; {duration(elapsed)} so far"
        if self._ended and left:
            head += f", about {rough(elapsed / self._ended * left)} left"
        table = Table("scene", *(Column(name, no_wrap=True) for name in ("stage", "time", "memory")), box=None)
        memory = self._memory()
        for item in found:
            if item.status == "running" and item.name in self._since:
                spent = duration(time.monotonic() - self._since[item.name])
                taken = f"{memory[item.name]:.0f} MiB" if memory.get(item.name) else "-"
                name = Text(item.name, no_wrap=True, overflow="ellipsis")
                table.add_row(name, stage_of(self._out / item.name), spent, taken)
        return Group(Text(head, style="bold"), table)


def tell(console: Console, event: Event) -> None:
    """Prints an event that people want to hear of; a log gets a line for each."""
    if text := _line(event):
        line = f"{event.get('scene', '')}  {text}"
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def stage_of(folder: Path) -> str:
    """Which stage a scene is at, by its manifest, which is replaced after every stage, and how far it is there."""
    try:
        stages = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError):
        return "starting"
    running = [(i, name) for i, (name, entry) in enumerate(stages.items(), 1) if entry["status"] == "running"]
    if not running:
        return "between stages"
    number, name = running[0]
    step = read_step(folder)
    share = f", {100 * step.done // step.total} %" if step and step.stage == name and step.total else ""
    return f"{name} ({number} of {len(stages)}){share}"


def _line(event: Event) -> str:
    kind = event["event"]
    if kind == "started":
        return f"started: {event['reason']}"
    if kind == "done":
        instead = f", {event['setting']} instead of {event['instead_of']}" if event["instead_of"] else ""
        verdict = f"; {event['verdict']['text']}" if event.get("verdict") else ""
        return f"done in {duration(event['seconds'])}, peak memory {event['peak_mib'] or 0:.0f} MiB{instead}{verdict}"
    if kind == "failed":
        return f"failed ({event['kind']}): {event['message']}"
    if kind == "retry":
        return f"attempt {event['attempt']} ended ({event['kind']}): {event['message']}"
    if kind == "fallback":
        return f"{event['used']} instead of {event['wanted']}: {event['reason']}"
    return {"busy": "waiting: its folder is in use", "stopped": "stopped; it will continue"}.get(kind, "")
