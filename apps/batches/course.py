"""The course of a batch: what is left to do, what must be ready, running it, and the account at the end."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fewview.apps.batches import journal as journals
from fewview.apps.batches.display import Display, tell
from fewview.apps.batches.history import Event, History, fold
from fewview.apps.batches.journal import Journal
from fewview.apps.batches.page import write_page
from fewview.apps.batches.resume import Decision, decide, stamp
from fewview.apps.batches.scheduler import Engine, Rules, Scheduler, Turn, no_room
from fewview.apps.batches.summary import counts, rows
from fewview.apps.batches.task import Task
from fewview.recon.dag.digests import FileHashes
from fewview.recon.dag.environment import program_version
from fewview.recon.dag.faults import writing
from fewview.recon.dag.lock import FolderLock
from fewview.recon.errors import EnvironmentFault, InputError
from fewview.recon.io import weights
from fewview.recon.progress import LogProgress

EngineFor = Callable[[Sequence[Task]], AbstractContextManager[Engine]]
_PAGE_S = 10.0


def run_batch(
    tasks: Sequence[Task],
    out: Path,
    rules: Rules,
    engine_for: EngineFor,
    console: Console,
    estimate: Callable[[Task], Task] = lambda task: task,
) -> History:
    """Brings every scene up to date; killed at any instant and called again, it continues.

    Args:
        engine_for: makes the engine for the scenes that are left to run.
        estimate: completes such a scene's task with what it will take.

    Returns:
        What became of every scene.

    Raises:
        InputError: `out` is a file.
        EnvironmentFault: `out` is in use or cannot be written, or its disk is too full to go on.
        KeyboardInterrupt: as it came; scenes at work were interrupted.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"`{out}` is a file.", "Choose a folder with --out.")
    with writing(out):
        _prepare(out)
        with FolderLock(out) as lock, Journal(out) as journal:
            history = fold(journals.read(out))
            decisions = _decide_all(tasks, history, out)
            left = [estimate(task) for task in tasks if decisions[task.name].run]
            turns = [_turn(task, decisions[task.name], history) for task in left]

            def write(event: str, **facts: Any) -> Event:
                whole = journal.write(event, **facts)
                history.take(whole)
                return whole

            _open(write, tasks, history, decisions, out, console)
            try:
                failed = counts(rows(history))["failed"]
                if left and not (rules.fail_fast and failed):
                    _make_ready(left, out, console)
                    with (
                        engine_for(left) as engine,
                        Display(console, history, out, engine.memory_mib) as display,
                    ):
                        refresh = _refresher(display, history, out, lock)
                        Scheduler(turns, engine, journal, history, out, rules, display.event, refresh).run()
                write("end", **counts(rows(history)))
            finally:
                with contextlib.suppress(OSError):  # on a full disk, what filled it is what must be told
                    write_page(out, rows(history))
    return history


def show_plan(tasks: Sequence[Task], out: Path, console: Console, as_json: bool) -> None:
    """What would be done and why; nothing is written."""
    decisions = _decide_all(tasks, fold(journals.read(out)), out, save=False)
    words = {task.name: ("run" if decisions[task.name].run else "leave") for task in tasks}
    reasons = {task.name: " ".join(task.problem) if task.problem else decisions[task.name].reason for task in tasks}
    if as_json:
        plans = [{"name": task.name, "plan": words[task.name], "reason": reasons[task.name]} for task in tasks]
        print(json.dumps({"schema": 1, "scenes": plans}, indent=1, sort_keys=True))
        return
    table = Table("scene", "plan", "why", title=f"Plan for {escape(str(out))}", title_justify="left")
    for task in tasks:
        table.add_row(escape(task.name), words[task.name], escape(reasons[task.name]))
    console.print(table)


def _prepare(out: Path) -> None:
    """Makes the output folder and proves that it can be written, before any work is done."""
    (out / ".work").mkdir(parents=True, exist_ok=True)
    probe = out / ".work" / f"probe-{os.getpid()}.tmp"
    probe.write_bytes(b"0" * 4096)
    probe.unlink()


def _decide_all(tasks: Sequence[Task], history: History, out: Path, save: bool = True) -> dict[str, Decision]:
    hashes = FileHashes(out / ".work" / "hashes.json", out)
    decisions = {task.name: decide(task, history, out, hashes) for task in tasks}
    if save:
        hashes.save()
    return decisions


def _turn(task: Task, decision: Decision, history: History) -> Turn:
    past = history.of(task.name)
    if not history.open:
        return Turn(task, decision.reason)
    return Turn(task, decision.reason, past.failures, min(past.setting, len(task.settings) - 1))


def _open(
    write: Callable[..., Event],
    tasks: Sequence[Task],
    history: History,
    decisions: dict[str, Decision],
    out: Path,
    console: Console,
) -> None:
    """Writes and tells what is known before anything runs."""
    number = history.batch if history.open else history.batch + 1
    names = [task.name for task in tasks]
    listed = {} if names == history.names else {"scenes": names}
    write(
        "batch", batch=number, program=program_version(), left=sum(found.run for found in decisions.values()), **listed
    )
    for task in tasks:
        if decisions[task.name].unchanged:
            write("unchanged", scene=task.name, inputs=task.inputs, manifest=stamp(out, task.name))
        if task.problem:
            ended = history.of(task.name).ended or {}
            message = " ".join(task.problem)
            if (ended.get("event"), ended.get("message")) != ("failed", message):
                failed = write(
                    "failed", scene=task.name, attempt=0, kind="input", message=message, recipe="", inputs=""
                )
                tell(console, failed)


def _make_ready(left: Sequence[Task], out: Path, console: Console) -> None:
    """Fetches weights, so that scenes need not, and looks at the disk.

    Raises:
        EnvironmentFault: the disk cannot hold the first scenes.
    """
    for name in sorted({name for task in left for name in task.weights}):
        try:
            weights.fetch(name, LogProgress())
        except EnvironmentFault as fault:  # a scene can do without, and says what it used instead
            console.print(f"Weights {escape(name)}: every scene will look for them itself. {escape(str(fault))}")
    if full := no_room(out, max(task.disk_mib for task in left)):
        raise full
    total = sum(task.disk_mib for task in left)
    if no_room(out, total):
        console.print(
            f"The {len(left)} scenes that are left may take {total / 1024:.1f} GiB, more than the disk has; "
            "the batch stops when it is full, and continues when there is room."
        )


def _refresher(display: Display, history: History, out: Path, lock: FolderLock) -> Callable[[], None]:
    written = 0.0

    def refresh() -> None:
        nonlocal written
        display.refresh()
        if time.monotonic() - written >= _PAGE_S:
            lock.check()
            write_page(out, rows(history))
            written = time.monotonic()

    return refresh
