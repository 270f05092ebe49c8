"""Starts a scene's process, watches its memory, time and logs, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from fewview.apps.batches import child
from fewview.apps.batches.machine import oom_kills, tree_mib
from fewview.apps.batches.task import Kind, Outcome
from fewview.recon.dag.process import OwnProcess

POLL_S = 0.1
LOG_LIMIT = 1 << 20
"""Bytes of a log; what is older is in `<name>.1`, of the same size at most."""
_WATCH_S = 0.5
_GRACE_S = 10.0


@dataclass(frozen=True)
class Request:
    """One attempt at a scene, as a machine is asked for it."""

    name: str
    call: str
    arguments: bytes
    """Pickled: unpickling loads the pipeline, which only the child should."""
    out: Path
    """The batch's output folder, on a file system that all machines share."""
    environment: tuple[tuple[str, str], ...] = ()
    """Added to that of the process which starts it."""
    time_limit_s: float | None = None
    folder: Path | None = None
    """Where relative paths begin; by default where the process that starts it is."""


class SceneProcess:
    """One attempt at a scene in a child process with a process group of its own."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.peak_mib = self.memory_mib = 0.0
        self._verdict: tuple[Kind, str] | None = None
        self._began = self._looked = time.monotonic()
        self._oom_kills = oom_kills()
        self._log = request.out / "logs" / f"{request.name}.log"
        self._log.parent.mkdir(exist_ok=True)
        self._answer, answer = os.pipe()
        try:
            with open(self._log, "ab") as log:
                self._process = OwnProcess(
                    child.main,
                    str(os.getpid()),
                    str(answer),
                    request.name,
                    log=log,
                    request=(request.call, request.arguments),
                    environment=dict(request.environment),
                    folder=request.folder,
                    inherit=[answer],
                )
        except BaseException:
            os.close(self._answer)
            raise
        finally:
            os.close(answer)
        self.pid = self._process.pid

    def ended(self) -> Outcome | None:
        """How it ended, or None while it works. Call it often: it also watches memory, time and logs."""
        if self._process.running:
            self._watch()
            return None
        code = self._process.end()  # its stages' processes have groups of their own, and die with it
        self._bound_logs()
        with open(self._answer, "rb") as pipe:
            os.set_blocking(self._answer, False)  # a process that it left behind may still hold the other end
            kind, message = self._judge(pipe.read(child.ANSWER_LIMIT), code)
        seconds = round(time.monotonic() - self._began, 3)
        return Outcome(kind, message, seconds, round(self.peak_mib, 1) or None, platform.node())

    @property
    def ending(self) -> bool:
        """Whether `end` was called."""
        return self._verdict is not None

    def end(self, kind: Kind, message: str) -> None:
        """Kills it, for the reason that `ended` will then give."""
        self._verdict = (kind, message)
        self._process.kill()

    def interrupt(self) -> None:
        """Asks it to stop, as Ctrl-C does."""
        self._process.interrupt()

    def settle(self) -> Outcome:
        """Waits for one that was interrupted; ends it where it does not listen."""
        deadline = time.monotonic() + _GRACE_S
        while (outcome := self.ended()) is None:
            if time.monotonic() > deadline:
                self.end("stopped", "it did not stop when asked")
            time.sleep(POLL_S)
        return outcome

    def _judge(self, answer: bytes | None, code: int) -> tuple[Kind, str]:
        if self._verdict:
            return self._verdict
        if answer:
            kind, message = json.loads(answer)
            if kind == "killed" and oom_kills() > self._oom_kills:
                kind = "memory"
            return kind, message
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return "memory", f"It was killed because memory ran out; it took up to {self.peak_mib:.0f} MiB."
        if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
            return "killed", f"It was killed from outside ({signal.Signals(-code).name})."
        how = f"crashed in native code ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        return "bug", f"It {how}; its last lines are in {self._log}."

    def _watch(self) -> None:
        now = time.monotonic()
        limit = self.request.time_limit_s
        if limit is not None and now - self._began > limit:
            self.end("timeout", f"It took longer than the time limit of {limit:g} s.")
        if now - self._looked >= _WATCH_S:
            self._looked = now
            self.memory_mib = tree_mib(self.pid)
            self.peak_mib = max(self.peak_mib, self.memory_mib)
            self._bound_logs()

    def _bound_logs(self) -> None:
        for log in (self._log, *(self.request.out / self.request.name / "logs").glob("*.log")):
            with contextlib.suppress(FileNotFoundError):
                if log.stat().st_size > LOG_LIMIT:
                    _rotate(log)


def _rotate(log: Path) -> None:
    """Empties a log that others have open for appending; its last part is kept beside it."""
    with open(log, "rb+") as file:
        file.seek(-LOG_LIMIT, os.SEEK_END)
        log.with_name(log.name + ".1").write_bytes(file.read(LOG_LIMIT))
        file.truncate(0)
