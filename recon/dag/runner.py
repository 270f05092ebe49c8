"""Runs a graph of stages over artifact folders: cached, resumable, recorded (docs/artifacts.md)."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fewview.recon.dag import artifact
from fewview.recon.dag.artifact import WORK, Record
from fewview.recon.dag.console import Display
from fewview.recon.dag.digests import FileHashes, digest_of
from fewview.recon.dag.environment import environment, program_version
from fewview.recon.dag.faults import memory_fault, write_fault, writing
from fewview.recon.dag.files import read_json
from fewview.recon.dag.graph import Graph
from fewview.recon.dag.isolate import Child
from fewview.recon.dag.keys import difference, ingredients, key_of, plain
from fewview.recon.dag.live import LiveProgress, Watch
from fewview.recon.dag.lock import FolderLock
from fewview.recon.dag.manifest import Manifest, StageEntry, attempts_before, describe, still_pending
from fewview.recon.dag.memory import peak_mib, reset_peak
from fewview.recon.dag.program import changed_since
from fewview.recon.dag.reporting import Relay, StageProgress, logging_to
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.errors import EnvironmentFault, FewviewError, InputError
from fewview.recon.facts import checked_facts
from fewview.recon.stage import Stage, resolve

log = logging.getLogger("fewview")


def run_stages(
    stages: Iterable[Stage],
    out: Path,
    *,
    until: str | None = None,
    start: str | None = None,
    force: Sequence[str] = (),
    dry_run: bool = False,
    arguments: Sequence[str] = (),
    console: Console | None = None,
    watch: Watch | None = None,
    judge: Callable[[Path], RunVerdict] | None = None,
) -> Manifest:
    """Brings the artifacts of `stages` in `out` up to date, one stage after the other.

    A stage whose key and files are as its record says is taken as it is. A stage that fails leaves out those
    that need it; the others still run. Killed at any instant and called again, it continues, and ends with
    the same artifacts. The logs of two runs at once in one process would mix: give each run a process.

    Args:
        stages: the graph; see `Stage`.
        out: the output folder; made where absent.
        until: run only this stage and what it needs.
        start: redo this stage and everything that needs it ("--from").
        force: redo these stages.
        dry_run: print what would be done and why; nothing is written.
        arguments: the command line, for the manifest.
        console: where progress is shown; standard error by default.
        watch: is told where the stage at work is, at most twice a second.
        judge: what the run is worth, from its folder; called once it has come to its end, well or not.

    Returns:
        What manifest.json holds; for a dry run, with the statuses planned, cached and skipped.

    Raises:
        ValueError: the graph is malformed (a mistake of its author).
        InputError: an option names no stage, a source is absent, or something of the user's is in the way.
        EnvironmentFault: `out` is in use or cannot be written.
        Exception: what the first failed stage raised, after the others have run.
        KeyboardInterrupt: as it came; the manifest then says interrupted.
    """
    graph = Graph(stages)
    graph.check("--until", [until] if until else [])
    graph.check("--from", [start] if start else [])
    graph.check("--force", force)
    wanted = graph.ancestors(until) if until else set(graph.names)
    redo = {name: "asked for by --force" for name in graph.names if name in force}
    if start:
        redo.update({name: f"asked for by --from {start}" for name in graph.names if name in graph.descendants(start)})
    for option, name in [("--from", start), *(("--force", name) for name in force)]:
        if name and name not in wanted:
            raise InputError(f"{option} {name} is left out by --until {until}.", "Choose a later stage for --until.")
    redo = {name: why for name, why in redo.items() if name in wanted}

    manifest = Manifest(
        out=out,
        program=program_version(),
        arguments=list(arguments),
        request={"until": until, "from": start, "force": list(force)},
        stages={stage.name: StageEntry(config=plain(stage.config)) for stage in graph.stages},
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    if out.exists() and not out.is_dir():
        raise InputError(f"`{out}` is a file.", "Choose a folder with --out.")
    artifact.refuse_foreign(out, graph.names)
    if dry_run:
        hashes = FileHashes(out / WORK / "hashes.json", out)
        _Run(graph, manifest, hashes, Display(console, graph.names), wanted, redo).plan()
        return manifest

    _prepare(out)
    with FolderLock(out) as lock, Display(console, graph.names) as display:
        hashes = FileHashes(out / WORK / "hashes.json", out)
        for line in [*lock.notes, *artifact.recover(out, hashes)]:
            display.say(line)
        pending = still_pending(read_json(out / "manifest.json"), manifest.request, list(redo))
        redo = {name: why for name, why in redo.items() if name in pending}
        run = _Run(graph, manifest, hashes, display, wanted, redo, watch)
        run.execute(lock)
        if judge is not None:
            # Why the run failed is what must be told, not that its folder cannot be judged either.
            with contextlib.suppress(*((FewviewError,) if run.errors else ())):
                manifest.verdict = judge(out)
            with writing(out):
                manifest.save()
    display.summary(manifest)
    if run.errors:
        raise run.errors[0]
    return manifest


def _prepare(out: Path) -> None:
    """Makes the output folder and proves that it can be written, before any work is done."""
    with writing(out):
        (out / WORK).mkdir(parents=True, exist_ok=True)
        (out / "logs").mkdir(exist_ok=True)
        probe = out / WORK / f"probe-{os.getpid()}.tmp"
        probe.write_bytes(b"0" * 4096)
        probe.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Decision:
    reason: str
    parts: dict[str, Any]
    key: str
    record: Record | None
    """Of the artifact to be used as it is; None where the stage must run."""
    spoilt: bool = False
    """The user changed the artifact that is about to be replaced."""


class _Run:
    """One call of `run_stages`."""

    def __init__(
        self,
        graph: Graph,
        manifest: Manifest,
        hashes: FileHashes,
        display: Display,
        wanted: set[str],
        redo: dict[str, str],
        watch: Watch | None = None,
    ) -> None:
        self.graph, self.manifest, self.hashes, self.display = graph, manifest, hashes, display
        self.out, self.wanted, self.redo = manifest.out, wanted, redo
        self.live = LiveProgress(self.out, watch)
        self.errors: list[BaseException] = []
        self._before = read_json(self.out / "manifest.json")

    def plan(self) -> None:
        """Fills the manifest with what would be done, and prints it."""
        for stage in self.graph.stages:
            entry = self.manifest.stages[stage.name]
            waiting = [need for need in stage.needs if self.manifest.stages[need].digest is None]
            if stage.name not in self.wanted:
                entry.status, entry.reason = "skipped", self._not_asked(stage)
            elif stage.name in self.redo:
                entry.reason = self.redo[stage.name]
            elif not (self.out / stage.name).exists():
                entry.reason = "not made yet"
            elif waiting:
                entry.reason = f"unless {', '.join(f'`{name}`' for name in waiting)} comes out as before"
            else:
                decision = self._decide(stage)
                entry.reason = decision.reason
                if decision.record:
                    entry.status = "cached"
                    entry.take(decision.record)
        self.display.plan(self.manifest)

    def execute(self, lock: FolderLock) -> None:
        """Runs what must run. Stage failures are collected in `errors`; anything else comes through."""
        self.manifest.state = "running"
        self.manifest.pending = list(self.redo)
        try:
            for stage in self.graph.stages:
                self._one(stage, lock)
            self.manifest.state = "failed" if self.errors else "complete"
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            self.manifest.state = "interrupted" if interrupted else "failed"
            raise
        finally:
            self._save()
            with writing(self.out):
                self.hashes.save()

    def _one(self, stage: Stage, lock: FolderLock) -> None:
        entry = self.manifest.stages[stage.name]
        missing = [need for need in stage.needs if self.manifest.stages[need].status in ("failed", "skipped")]
        if stage.name not in self.wanted:
            entry.status, entry.reason = "skipped", self._not_asked(stage)
            return
        if missing:
            entry.status, entry.reason = (
                "skipped",
                f"needs `{missing[0]}`, which {_became(self.manifest, missing[0])}",
            )
            self.display.ended(stage.name, entry)
            return
        try:
            self._bring_up_to_date(stage, entry, lock)
        except KeyboardInterrupt as error:
            entry.status, entry.error = "failed", describe(error) | {"message": "interrupted"}
            raise
        except Exception as error:  # noqa: BLE001 - kept, and raised when the independent stages have run
            entry.status, entry.error = "failed", describe(error)
            self.errors.append(error)
        if stage.name in self.manifest.pending and entry.status == "ok":
            self.manifest.pending.remove(stage.name)
        if entry.status != "cached":
            self._save()
        self.display.ended(stage.name, entry)

    def _bring_up_to_date(self, stage: Stage, entry: StageEntry, lock: FolderLock) -> None:
        """Uses the artifact as it is or runs the stage, and says so in its entry."""
        decision = self._decide(stage)
        entry.reason, entry.key, entry.inputs = decision.reason, decision.key, decision.parts["inputs"]
        entry.log = f"logs/{stage.name}.log"
        if decision.record:
            entry.take(decision.record)
            entry.status = "cached"
            return
        entry.status = "running"
        entry.attempts = attempts_before(self._before, stage.name, decision.key) + 1
        self._save()
        self.display.started(stage.name, decision.reason)
        with writing(self.out), logging_to(self.out / entry.log):
            self.live.started(stage.name)
            self._work(stage, entry, decision, lock)
        entry.status = "ok"

    def _decide(self, stage: Stage) -> _Decision:
        """Whether the artifact can be used as it is, and if not, why not."""
        digests = {need: str(self.manifest.stages[need].digest) for need in stage.needs}
        if stage.sources:
            self.manifest.sources[stage.name] = [
                {"path": str(source), "files": self.hashes.source(Path(source))} for source in stage.sources
            ]
        parts = ingredients(stage, digests, self.hashes)
        key = key_of(parts)
        folder = self.out / stage.name
        record = artifact.read_record(folder)
        if record is None:
            return _Decision("not made yet", parts, key, None)
        changed = artifact.changed_files(folder, record, self.hashes)
        if stage.name in self.redo:
            return _Decision(self.redo[stage.name], parts, key, None, bool(changed))
        if record.key != key:
            return _Decision(difference(record.ingredients, parts), parts, key, None, bool(changed))
        if changed:
            names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            return _Decision(f"modified since it was made: {names}", parts, key, None, True)
        return _Decision("up to date", parts, key, record)

    def _work(self, stage: Stage, entry: StageEntry, decision: _Decision, lock: FolderLock) -> None:
        """Runs one stage and commits its artifact; a failure leaves nothing behind."""
        log.info("stage %s, attempt %d, key %s: %s", stage.name, entry.attempts, decision.key[:16], decision.reason)
        inputs = {need: self.out / need for need in stage.needs}
        folder = artifact.new_folder(self.out, stage.name)
        began = time.monotonic()
        try:
            entry.peak_mib = self._call(stage, inputs, folder, entry)
            entry.seconds = round(time.monotonic() - began, 3)
            parts = self._parts_that_ran(stage, decision)
            files = self.hashes.folder(folder)
            record = Record(
                name=stage.name,
                key=key_of(parts),
                ingredients=parts,
                files=files,
                digest=digest_of(files),
                seconds=entry.seconds,
                peak_mib=entry.peak_mib,
                attempts=entry.attempts,
                facts=entry.facts,
                fallbacks=entry.fallbacks,
            )
            lock.check()
            artifact.complete(folder, record)
        except BaseException as error:
            entry.seconds = round(time.monotonic() - began, 3)
            fault = None if isinstance(error, FewviewError) else self._fault(stage, error)
            shutil.rmtree(folder)  # first of all: on a full disk this makes room for the manifest
            with contextlib.suppress(OSError):  # the log may lie on the full disk, too
                log.error("failed", exc_info=error)
            if fault is None:
                raise
            raise fault from error
        keep = artifact.spare_name(self.out, stage.name) if decision.spoilt else None
        artifact.commit(folder, self.out, record, keep)
        if keep:
            self.display.say(f"{stage.name}: the version you changed is kept as {keep.name}")
        entry.take(record)
        log.info("done in %.1f s, digest %s", record.seconds, record.digest)

    def _parts_that_ran(self, stage: Stage, decision: _Decision) -> dict[str, Any]:
        """The ingredients for the record: a program that was edited meanwhile is not known, and made again."""
        if not changed_since(stage.run):
            return decision.parts
        self.display.say(f"{stage.name}: the program changed while it ran, so the next run makes it anew")
        return {**decision.parts, "program": None}

    def _call(self, stage: Stage, inputs: dict[str, Path], folder: Path, entry: StageEntry) -> float | None:
        """Calls the stage's function; returns the peak memory in MiB where it can be measured."""

        def send(event: str, payload: Any) -> None:
            if event == "step":
                self.display.step(stage.name, *payload)
                self.live.step(stage.name, *payload)
            elif event == "fallback":
                entry.fallbacks.append(payload)
                self.display.say(f"{stage.name}: {payload['used']} instead of {payload['wanted']}: {payload['reason']}")
            elif event == "facts":
                entry.facts |= checked_facts(stage.facts, payload)

        if stage.isolated:
            child = Child(
                stage.run,
                (inputs, stage.config, folder),
                log=self.out / f"logs/{stage.name}.log",
                progress=Relay(send),
                name=f"Stage `{stage.name}`",
            )
            try:
                child.run()
            finally:
                entry.peak_mib = child.peak_mib
            return child.peak_mib
        measured = reset_peak()
        if not measured:
            log.warning("peak memory cannot be measured on this system")
        resolve(stage.run)(inputs, stage.config, folder, StageProgress(send))
        return peak_mib() if measured else None

    def _fault(self, stage: Stage, error: BaseException) -> EnvironmentFault | None:
        return memory_fault(error, f"Stage `{stage.name}`") or write_fault(error, self.out)

    def _save(self) -> None:
        self.manifest.environment = environment()
        with writing(self.out):
            self.manifest.save()

    def _not_asked(self, stage: Stage) -> str:
        stale = "; its folder is of an earlier run" if (self.out / stage.name).exists() else ""
        return f"not needed for --until {self.manifest.request['until']}{stale}"


def _became(manifest: Manifest, name: str) -> str:
    return "failed" if manifest.stages[name].status == "failed" else "was skipped"
