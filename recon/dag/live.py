"""How far the stage at work is, for other processes: OUT/.work/progress.json beside what manifest.json says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fewview.recon.dag.artifact import WORK
from fewview.recon.dag.files import read_json

_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Step:
    """Where a stage is."""

    stage: str
    done: int = 0
    total: int = 0
    """0 while the stage has not counted yet."""
    what: str = ""
    """The unit, such as "training step"."""
    seconds: float = 0.0
    """Since the stage started."""


Watch = Callable[[Step], None]


class LiveProgress:
    """Writes the steps of a run, at most twice a second.

    Args:
        watch: is told each step that is written.
    """

    def __init__(self, out: Path, watch: Watch | None = None) -> None:
        self._path = out / WORK / "progress.json"
        self._watch = watch
        self._began = self._said = time.monotonic()

    def started(self, stage: str) -> None:
        self._began = time.monotonic()
        self._write(Step(stage))

    def step(self, stage: str, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._said >= _INTERVAL_S:
            self._write(Step(stage, done, total, what, round(now - self._began, 1)))

    def _write(self, step: Step) -> None:
        # Replaced in one step, so that a reader never sees half a file; not synced, as nobody resumes from it.
        self._said = time.monotonic()
        temporary = self._path.with_name("progress.tmp")
        temporary.write_text(json.dumps(asdict(step)), encoding="utf-8")
        os.replace(temporary, self._path)
        if self._watch:
            self._watch(step)


def read_step(out: Path) -> Step | None:
    """Where the running stage of the run in `out` is, as last written; None where nothing was."""
    stored = read_json(out / WORK / "progress.json")
    return Step(**stored) if stored else None
