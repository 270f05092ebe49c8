"""How far a run is, in words and figures: from the queue, its manifest and the step of the stage at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fewview.apps.pipeline import SPECS
from fewview.apps.web.limits import Limits
from fewview.apps.web.queue import Place
from fewview.recon.dag.files import read_json
from fewview.recon.dag.live import Step, read_step
from fewview.recon.stage import StageSpec

State = Literal["idle", "waiting", "running", "stopping", "stopped", "done", "failed"]

_SPECS = {spec.name: spec for spec in SPECS.values()}
_START_S = 5.0
"""For loading the program."""
_TRUST_S = 5.0
"""How many seconds of the table weigh as much as measured ones when a machine's speed is guessed."""


@dataclass(frozen=True)
class StageLine:
    """A stage as the page lists it."""

    name: str
    status: str
    """As in the manifest."""
    share: float
    """Done, 0 to 1."""
    seconds: float | None
    note: str = ""


@dataclass(frozen=True)
class Problem:
    """Why a run failed."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Progress:
    """One look at a run."""

    state: State
    headline: str
    stages: tuple[StageLine, ...] = ()
    share: float = 0.0
    seconds_left: float | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def moving(self) -> bool:
        """It will change without the visitor's doing."""
        return self.state in ("waiting", "running", "stopping")

    @property
    def finished(self) -> frozenset[str]:
        """Stages whose artifacts are there."""
        return frozenset(stage.name for stage in self.stages if stage.status in ("ok", "cached"))


def look(place: Place, out: Path, log: Path, now: float, limits: Limits) -> Progress:
    """The state of a run.

    Args:
        place: what the queue says.
        out: folder of the run.
        log: what its process said.
        now: of the monotonic clock, as in `place.since`.
    """
    if place.state == "waiting":
        if place.ahead == 0:
            return Progress("waiting", "Starting…")
        line = f"Waiting: {place.ahead} {'run comes' if place.ahead == 1 else 'runs come'} first"
        return Progress("waiting", f"{line} (at most {limits.waiting} wait).")
    manifest = read_json(out / "manifest.json")
    step = read_step(out) if place.state == "running" else None
    stages = _lines(manifest, step) if manifest else ()
    if place.state == "unknown" and not stages:
        return Progress("idle", "No run yet.")
    share, left = estimate(stages, step, now - place.since if place.state == "running" else 0.0)
    if place.state == "running":
        return Progress("running", _at_work(stages, step), stages, share, left)
    if place.state == "stopping":
        return Progress("stopping", "Stopping…", stages, share)
    problems = _problems(manifest, place, log)
    if place.stopped or (manifest and manifest["state"] == "interrupted"):
        return Progress("stopped", "Stopped. What was finished is kept; Reconstruct goes on from there.", stages, share)
    if problems:
        return Progress("failed", "The run failed.", stages, share, problems=problems)
    return Progress("done", "Done.", stages, 1.0)


def estimate(stages: tuple[StageLine, ...], step: Step | None, elapsed_s: float) -> tuple[float, float | None]:
    """The share that is done, and the seconds left by the speed so far (None without stages).

    The table of typical seconds is scaled by what the finished stages took; the stage at work counts by its own
    pace once a tenth of it is done.
    """
    wanted = [stage for stage in stages if stage.status not in ("skipped", "failed")]
    if not wanted:
        return 0.0, None
    ran = [stage for stage in wanted if stage.status == "ok"]
    pace = (sum(stage.seconds or 0.0 for stage in ran) + _TRUST_S) / (sum(map(_typical, ran)) + _TRUST_S)
    done = left = 0.0
    for stage in wanted:
        if stage.status in ("ok", "cached"):
            done += pace * _typical(stage)
        elif stage.status == "running" and step is not None:
            whole = max(pace * _typical(stage), stage.seconds or 0.0)
            if stage.share > 0.1:
                # Some stages count several times from one on, so a slow start says little.
                whole = min((stage.seconds or 0.0) / stage.share, 2 * whole)
            worked = min(stage.seconds or 0.0, whole)
            done, left = done + worked, left + whole - worked
        else:
            left += pace * _typical(stage)
    if not ran and step is None:
        left += max(_START_S - elapsed_s, 0.0)
    return done / max(done + left, 1e-9), left


def _typical(stage: StageLine) -> float:
    return _SPECS[stage.name].typical_s if stage.name in _SPECS else StageSpec.typical_s


def title_of(name: str) -> str:
    """A stage as people read it; its name where this program has none such."""
    return _SPECS[name].title if name in _SPECS else name


def _lines(manifest: Mapping[str, Any], step: Step | None) -> tuple[StageLine, ...]:
    lines = []
    for name, entry in manifest["stages"].items():
        status, seconds, share, note = entry["status"], entry["seconds"], 0.0, ""
        if status in ("ok", "cached"):
            share = 1.0
        elif status == "running" and step is not None and step.stage == name:
            seconds, share = step.seconds, step.done / step.total if step.total else 0.0
            note = f"{step.what} {step.done} of {step.total}" if step.total else ""
        elif status in ("failed", "skipped"):
            note = entry["error"]["message"] if entry["error"] else entry["reason"]
        lines.append(StageLine(name, status, share, seconds, note))
    return tuple(lines)


def _at_work(stages: tuple[StageLine, ...], step: Step | None) -> str:
    stage = next((stage for stage in stages if stage.status == "running"), None)
    if stage is None or step is None:
        if stages and all(each.status != "planned" for each in stages):
            return "Finishing…"
        return "Next stage…" if any(each.status == "ok" for each in stages) else "Starting…"
    number = [each.name for each in stages].index(stage.name) + 1
    return f"Stage {number} of {len(stages)}: {title_of(stage.name)}"


def _problems(manifest: Mapping[str, Any] | None, place: Place, log: Path) -> tuple[Problem, ...]:
    """What went wrong, from the manifest; where that says nothing, the last line of the process."""
    if place.fault:
        return (Problem(f"The run could not be started: {place.fault}.", "Try again in some minutes."),)
    found = []
    for name, entry in (manifest["stages"] if manifest else {}).items():
        if entry["error"]:
            bug = "This is a fault of fewview: please report it with the log of the run."
            found.append(Problem(f"{name}: {entry['error']['message']}", entry["error"]["remedy"] or bug))
    if not found and place.exit_code:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
        said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        found.append(Problem(f"The run ended with code {place.exit_code}: {said}", "Try again."))
    return tuple(found)
