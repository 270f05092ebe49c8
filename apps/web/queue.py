"""One run after the other, each in a child process; others wait in a line of stated length."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from typing import Literal

from fewview.apps import cli
from fewview.apps.web.limits import MIB, Limits
from fewview.apps.web.store import Run
from fewview.recon.dag.process import OwnProcess
from fewview.recon.errors import EnvironmentFault, InputError

log = logging.getLogger("fewview")

_ASK_BY = (signal.SIGINT, signal.SIGTERM)
"""How a run is asked to stop before it is killed: its finished stages are kept either way."""


@dataclass(frozen=True)
class Job:
    """A run to make."""

    run: Run
    arguments: tuple[str, ...]
    """Of `fewview`."""


@dataclass(frozen=True)
class Place:
    """Where a job is."""

    state: Literal["unknown", "waiting", "running", "stopping", "ended"]
    ahead: int = 0
    """Runs that come first, for one that waits."""
    exit_code: int | None = None
    fault: str = ""
    """Why its process could not be started."""
    stopped: bool = False
    """Its visitor ended it."""
    since: float = 0.0
    """When it started, by the monotonic clock."""


def start(job: Job) -> OwnProcess:
    """The run at work in a session of its own; what it says is in its log, its temporary files are in its scratch.

    Raises:
        OSError, ValueError: it cannot be started, or its words cannot be told to a process.
    """
    job.run.scratch.mkdir(exist_ok=True)
    with open(job.run.log, "wb") as file:
        return OwnProcess(
            cli.main,
            *job.arguments,
            log=file,
            environment={"TMPDIR": str(job.run.scratch)},
            folder=job.run.log.parent,
            session=True,
        )


class Queue:
    """A line of jobs and the thread that works on them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._current: tuple[Job, OwnProcess, float] | None = None
        self._ended: dict[str, Place] = {}
        self._stopping: set[str] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="fewview-queue", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Puts a job in line.

        Raises:
            InputError: this run is in line already, or the line is full.
            EnvironmentFault: the disk is nearly full.
        """
        if shutil.disk_usage(job.run.folder).free < self._limits.free_bytes:
            raise EnvironmentFault(
                f"Less than {self._limits.free_bytes // MIB} MiB of disk space are left.",
                "Try again later, or ask who runs this server to make room.",
            )
        with self._changed:
            if self._place(job.run.id).state in ("waiting", "running", "stopping"):
                raise InputError("Your run is at work already.", "Wait for it, or stop it.")
            if len(self._waiting) >= self._limits.waiting:
                raise InputError(f"{len(self._waiting)} runs are waiting already.", "Try again in some minutes.")
            self._ended.pop(job.run.id, None)
            self._waiting.append(job)
            self._changed.notify_all()

    def place(self, id: str) -> Place:
        """Where the run is; `unknown` where this server has not run it."""
        with self._changed:
            return self._place(id)

    def stop(self, id: str) -> None:
        """Takes a run out of the line, or ends its processes; returns when none is left."""
        with self._changed:
            if any(job.run.id == id for job in self._waiting):
                self._waiting = [job for job in self._waiting if job.run.id != id]
                self._ended[id] = Place("ended", stopped=True)
            current = self._current
            if current is None or current[0].run.id != id:
                return
            self._stopping.add(id)
        current[1].end(*_ASK_BY)
        with self._changed:
            self._changed.wait_for(lambda: id in self._ended, timeout=10)

    @property
    def busy(self) -> set[str]:
        """Names of the runs that wait or are at work."""
        with self._changed:
            current = {self._current[0].run.id} if self._current else set()
            return current | {job.run.id for job in self._waiting}

    def close(self) -> None:
        """Drops those that wait and ends the one at work."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            current = self._current
            self._changed.notify_all()
        if current is not None:
            current[1].end(*_ASK_BY)
        self._thread.join(timeout=20)

    def _place(self, id: str) -> Place:
        for ahead, job in enumerate(self._waiting):
            if job.run.id == id:
                return Place("waiting", ahead + (self._current is not None))
        if self._current is not None and self._current[0].run.id == id:
            return Place("stopping" if id in self._stopping else "running", since=self._current[2])
        return self._ended.get(id, Place("unknown"))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop(0)
                try:
                    process = start(job)
                except (OSError, ValueError) as error:  # too little of something, or words that no process can be told
                    log.warning("run %s could not be started: %s", job.run.id, error)
                    self._ended[job.run.id] = Place("ended", fault=getattr(error, "strerror", None) or str(error))
                    self._changed.notify_all()
                    continue
                self._current = (job, process, time.monotonic())
            process.wait()
            try:
                code = process.end()  # one that crashed may leave children behind
            except OSError as error:
                log.warning("what run %s left at work could not be ended: %s", job.run.id, error)
                code = process.end()
            shutil.rmtree(job.run.scratch, ignore_errors=True)
            with self._changed:
                self._current = None
                self._ended[job.run.id] = Place("ended", exit_code=code, stopped=job.run.id in self._stopping)
                self._stopping.discard(job.run.id)
                self._changed.notify_all()
