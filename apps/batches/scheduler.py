"""Runs tasks on an engine, a number at a time: attempts, retries, smaller settings, and what is written of it."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from fewview.apps.batches.history import Event, History
from fewview.apps.batches.journal import Journal
from fewview.apps.batches.process import POLL_S, Request
from fewview.apps.batches.resume import stamp
from fewview.apps.batches.task import TRANSIENT, Kind, Outcome, Task
from fewview.recon.dag.faults import write_fault
from fewview.recon.errors import EnvironmentFault

_BUSY_S = 5.0
_BUSY_LIMIT = 24
"""A scene's folder that another process uses is asked for again so often: a lost machine's lock lasts a minute."""
_MAX_DELAY_S = 60.0


class Engine(Protocol):
    """Where scenes run."""

    running: dict[str, Any]
    """By name."""

    def fits(self, memory_mib: float) -> bool:
        """Whether another scene can start now."""

    def start(self, request: Request, memory_mib: float) -> dict[str, Any]:
        """Starts a scene; what is known of where, for the journal."""

    def poll(self) -> list[tuple[str, Outcome]]:
        """The scenes that ended since the last call."""

    def stop(self) -> list[tuple[str, Outcome]]:
        """Interrupts every scene and waits."""

    def memory_mib(self) -> dict[str, float]:
        """What running scenes take now, where it is known."""


@dataclass(frozen=True)
class Rules:
    """What the user asks of the batch as a whole."""

    retries: int = 2
    time_limit_s: float | None = None
    fail_fast: bool = False


@dataclass(frozen=True)
class Turn:
    """A task with its attempts so far."""

    task: Task
    reason: str
    failures: int = 0
    setting: int = 0
    busy: int = 0
    not_before: float = 0.0
    """On the monotonic clock."""


class Scheduler:
    """One call of `run`."""

    def __init__(
        self,
        turns: Iterable[Turn],
        engine: Engine,
        journal: Journal,
        history: History,
        out: Path,
        rules: Rules,
        tell: Callable[[Event], None],
        refresh: Callable[[], None],
    ) -> None:
        """`tell` gets every event after it was written; `refresh` is called several times a second."""
        self._queue, self._turns = list(turns), dict[str, Turn]()
        self._engine, self._journal, self._history = engine, journal, history
        self._out, self._rules, self._tell, self._refresh = out, rules, tell, refresh
        self._fault: EnvironmentFault | None = None

    def run(self) -> None:
        """Runs until nothing is left.

        Raises:
            EnvironmentFault: the disk has no room for another scene; those at work were let finish.
            KeyboardInterrupt: as it came; scenes at work were interrupted and continue with the next command.
        """
        try:
            while self._queue or self._engine.running:
                self._start_what_fits()
                for name, outcome in self._engine.poll():
                    self._settle(self._turns.pop(name), outcome)
                self._refresh()
                time.sleep(POLL_S)
        except BaseException:
            with contextlib.suppress(OSError):  # the journal may be what failed
                self._stop()
            raise
        if self._fault:
            raise self._fault

    def _start_what_fits(self) -> None:
        now = time.monotonic()
        for turn in [turn for turn in self._queue if turn.not_before <= now]:
            setting = turn.task.settings[turn.setting]
            if not self._engine.fits(setting.memory_mib):
                return
            # Scenes at work may still write all that they were estimated to take.
            if fault := no_room(self._out, turn.task.disk_mib + sum(at.task.disk_mib for at in self._turns.values())):
                if not self._turns:
                    self._fault = fault
                    self._queue.clear()
                return
            self._queue.remove(turn)
            request = Request(
                turn.task.name,
                turn.task.call,
                pickle.dumps(setting.arguments),
                self._out,
                time_limit_s=self._rules.time_limit_s,
            )
            try:
                where = self._engine.start(request, setting.memory_mib)
            except OSError as error:
                if write_fault(error, self._out):
                    raise
                # The machine is short of memory, processes or files at this moment.
                self._settle(turn, Outcome("io", f"Its process could not be started: {error}."))
                return
            self._turns[turn.task.name] = turn
            self._write("started", turn, reason=turn.reason, setting=setting.name, **where)

    def _settle(self, turn: Turn, outcome: Outcome) -> None:
        if outcome.kind == "done":
            outcome = self._done(turn, outcome)
            if outcome.kind == "done":
                return
        if outcome.kind == "busy" and turn.busy < _BUSY_LIMIT:
            self._write("busy", turn, message=outcome.message)
            self._queue.append(replace(turn, busy=turn.busy + 1, not_before=time.monotonic() + _BUSY_S))
        elif outcome.kind in TRANSIENT and turn.failures < self._rules.retries:
            self._retry(turn, outcome)
        else:
            self._failed(turn, outcome.kind, outcome)
            if self._rules.fail_fast:
                self._queue.clear()
                self._stop()

    def _done(self, turn: Turn, outcome: Outcome) -> Outcome:
        """Records a success; an outcome that says otherwise where the results are not there."""
        try:
            manifest = json.loads((self._out / turn.task.name / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            return replace(outcome, kind="io", message=f"Its manifest cannot be read: {error}.")
        used, asked = turn.task.settings[turn.setting].name, turn.task.settings[0].name
        self._write(
            "done",
            turn,
            **_identity(turn.task),
            manifest=stamp(self._out, turn.task.name),
            digest=manifest["digest"],
            verdict=manifest.get("verdict"),
            setting=used,
            instead_of=asked if turn.setting else None,
            seconds=outcome.seconds,
            peak_mib=outcome.peak_mib,
            host=outcome.host,
        )
        return outcome

    def _retry(self, turn: Turn, outcome: Outcome) -> None:
        failures = turn.failures + 1
        delay = 0.0 if outcome.kind in ("memory", "killed") else min(2.0**failures, _MAX_DELAY_S)
        self._write("retry", turn, kind=outcome.kind, message=outcome.message, delay_s=delay)
        setting = turn.setting
        if outcome.kind == "memory" and setting + 1 < len(turn.task.settings):
            setting += 1
            wanted, used = turn.task.settings[turn.setting].name, turn.task.settings[setting].name
            self._write("fallback", turn, setting=setting, wanted=wanted, used=used, reason=outcome.message)
        reason = f"attempt {failures + 1}, after: {outcome.message}"
        turn = replace(turn, reason=reason, failures=failures, setting=setting, not_before=time.monotonic() + delay)
        self._queue.insert(0, turn)

    def _failed(self, turn: Turn, kind: Kind, outcome: Outcome) -> None:
        self._write(
            "failed",
            turn,
            **_identity(turn.task),
            kind=kind,
            message=outcome.message,
            setting=turn.task.settings[turn.setting].name,
            seconds=outcome.seconds,
            peak_mib=outcome.peak_mib,
            host=outcome.host,
        )

    def _stop(self) -> None:
        for name, outcome in self._engine.stop():
            turn = self._turns.pop(name)
            if outcome.kind != "done" or self._done(turn, outcome).kind != "done":
                self._write("stopped", turn)

    def _write(self, event: str, turn: Turn, **facts: Any) -> None:
        whole = self._journal.write(event, scene=turn.task.name, attempt=turn.failures + 1, **facts)
        self._history.take(whole)
        self._tell(whole)


def _identity(task: Task) -> dict[str, str]:
    return {"recipe": task.recipe, "inputs": task.inputs}


def no_room(out: Path, needed_mib: float) -> EnvironmentFault | None:
    """The fault where the disk has less room than is needed."""
    free = shutil.disk_usage(out).free / 2**20
    if free >= needed_mib:
        return None
    return EnvironmentFault(
        f"The disk of `{out}` has {free:.0f} MiB left; the next scene takes about {needed_mib:.0f} MiB.",
        "Make room there and give the same command again: finished scenes are kept.",
    )
