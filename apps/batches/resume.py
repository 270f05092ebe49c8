"""Whether a scene has work left: by its history, its recipe and its inputs, without touching what is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewview.apps.batches.history import History
from fewview.apps.batches.task import PERMANENT, Task
from fewview.recon.dag.digests import FileHashes
from fewview.recon.dag.files import read_json
from fewview.recon.errors import InputError

Stamp = list[int] | None


@dataclass(frozen=True)
class Decision:
    """What the past means for a scene now."""

    run: bool
    reason: str
    unchanged: bool = False
    """Its inputs were touched but hold what they held: to be noted, so that the next check is cheap again."""


def stamp(out: Path, scene: str) -> Stamp:
    """Size, time and inode of a scene's manifest, or None where there is none."""
    try:
        stat = (out / scene / "manifest.json").stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def decide(task: Task, history: History, out: Path, hashes: FileHashes) -> Decision:
    """Whether a task must run, and why."""
    past = history.of(task.name)
    ended = past.ended
    if task.problem:
        return Decision(False, "bad input")
    if past.running:
        return Decision(True, "interrupted")
    if ended is None:
        return Decision(True, "new")
    here = history.open and past.batch == history.batch
    if ended["event"] == "failed":
        lasting = ended["kind"] in PERMANENT or here
        same = ended["recipe"] == task.recipe and ended["inputs"] == task.inputs
        return Decision(not (lasting and same), "failed before" if same else "failed with other photos or options")
    if task.redo and not here:
        return Decision(True, "asked for by --from or --force")
    if ended["recipe"] != task.recipe:
        return Decision(True, "its options, or what the program does with them, changed")
    touched = ended["inputs"] != task.inputs
    if ended["manifest"] == stamp(out, task.name) and not touched:
        return Decision(False, "finished")
    manifest = _manifest(out, task.name)
    if manifest is None or manifest.get("digest") != ended["digest"] or manifest.get("state") != "complete":
        return Decision(True, "its results are not what they were")
    if touched and list(_contents(task, hashes)) != list(_recorded(task, manifest)):
        return Decision(True, "its photos changed")
    return Decision(False, "finished", unchanged=True)


def _manifest(out: Path, scene: str) -> dict[str, Any] | None:
    manifest = read_json(out / scene / "manifest.json")
    return manifest if isinstance(manifest, dict) else None


def _contents(task: Task, hashes: FileHashes) -> Iterator[Any]:
    for _, paths in task.sources:
        for path in paths:
            try:
                yield hashes.source(path)
            except InputError:  # it vanished since the plan was made: the run will say so
                yield None


def _recorded(task: Task, manifest: dict[str, Any]) -> Iterator[Any]:
    for stage, _ in task.sources:
        yield from (source["files"] for source in manifest["sources"].get(stage, []))
