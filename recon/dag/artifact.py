"""Artifact folders: committed by renaming, recovered after a kill, checked against their record.

A stage fills OUT/.work/<stage>-<pid>. Its record, written last and synced, makes the folder complete: from
then on it is the artifact, and whoever comes next finishes the renames. The folder it replaces is moved to
OUT/.work/<stage>-<pid>.old first, since a folder cannot be replaced in one step.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fewview.recon.dag.digests import RECORD, FileHashes
from fewview.recon.dag.files import read_json, sync_folder, sync_tree, write_json
from fewview.recon.errors import InputError

WORK = ".work"
SCHEMA = 1

_LEFTOVER = re.compile(r"(?P<stage>[a-z][a-z0-9_]*)-\d+(?P<old>\.old)?")


@dataclass(frozen=True)
class Record:
    """What is known of a finished artifact; kept inside its folder."""

    name: str
    key: str
    ingredients: dict[str, Any]
    files: dict[str, dict[str, str | int]]
    digest: str
    seconds: float
    peak_mib: float | None
    attempts: int
    facts: dict[str, Any]
    fallbacks: list[dict[str, str]]
    schema: int = SCHEMA


def read_record(folder: Path) -> Record | None:
    """The record of a complete artifact folder, or None."""
    stored = read_json(folder / RECORD)
    if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
        return None
    if stored.keys() != {field.name for field in fields(Record)}:
        return None
    return Record(**stored) if _sound(stored) else None


def _sound(stored: dict[str, Any]) -> bool:
    """Whether the fields that decisions rest on are of their types: somebody may have edited the file."""
    texts, files, parts = (stored[name] for name in ("name", "key", "digest")), stored["files"], stored["ingredients"]
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(files, dict)
        and all(isinstance(entry, dict) for entry in files.values())
        and isinstance(parts, dict)
        and {"config", "inputs", "sources", "weights"} <= parts.keys()
        and isinstance(parts["inputs"], dict)
        and isinstance(parts.get("program") or {}, dict)
        and isinstance(parts["sources"], list)
        and all(isinstance(source, dict) for source in parts["sources"])
    )


def changed_files(folder: Path, record: Record, hashes: FileHashes) -> list[str]:
    """Names of files that were changed, added or removed since the artifact was finished."""
    found = hashes.folder(folder)
    return sorted(name for name in found.keys() | record.files.keys() if found.get(name) != record.files.get(name))


def new_folder(out: Path, stage: str) -> Path:
    """An empty folder for a stage to fill."""
    folder = out / WORK / f"{stage}-{os.getpid()}"
    folder.mkdir()
    return folder


def complete(folder: Path, record: Record) -> None:
    """Makes a filled folder durable and complete."""
    sync_tree(folder)
    write_json(folder / RECORD, asdict(record), folder)


def commit(folder: Path, out: Path, record: Record, keep: Path | None = None) -> None:
    """Puts a complete folder into its place.

    Args:
        keep: where to move the folder it replaces, for one that the user changed; by default it is deleted.
    """
    target = out / record.name
    aside = keep or folder.with_name(folder.name + ".old")
    if target.exists():
        os.rename(target, aside)
    os.rename(folder, target)
    sync_folder(out)
    if keep is None:
        shutil.rmtree(aside, ignore_errors=True)  # what is left over is removed by the next run


def spare_name(out: Path, stage: str) -> Path:
    """A free name beside the artifact for one that the user changed."""
    candidates = (out / f"{stage}.modified{suffix}" for suffix in ["", *(f"-{i}" for i in range(2, 1000))])
    return next(path for path in candidates if not path.exists())


def recover(out: Path, hashes: FileHashes) -> list[str]:
    """Finishes or undoes what a killed run left behind. Call it under the lock.

    Returns:
        What was done, for the log.
    """
    said = []
    leftovers = [(path, match) for path in sorted((out / WORK).iterdir()) if (match := _LEFTOVER.fullmatch(path.name))]
    for path, match in leftovers:
        record = None if match["old"] else read_record(path)
        if record is None or record.name != match["stage"] or changed_files(path, record, hashes):
            continue
        target = out / record.name
        before = read_record(target)
        spoilt = before is not None and changed_files(target, before, hashes)
        commit(path, out, record, spare_name(out, record.name) if spoilt else None)
        said.append(f"{record.name}: finished by an interrupted run, adopted")
    for path, match in leftovers:
        if match["old"] and path.exists() and not (out / match["stage"]).exists():
            os.rename(path, out / match["stage"])
            said.append(f"{match['stage']}: put back as it was before an interrupted run")
    for path in (out / WORK).iterdir():
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path)
        elif path.suffix == ".tmp":
            path.unlink(missing_ok=True)  # one that only asks for the lock may remove its own
    return said


def refuse_foreign(out: Path, stages: Iterable[str]) -> None:
    """Raises InputError where something of the user's stands in an artifact's place: it would be replaced."""
    for name in stages:
        folder = out / name
        if os.path.lexists(folder) and not (folder / RECORD).is_file():
            raise InputError(
                f"`{folder}` is in the way: fewview did not make it (it holds no {RECORD}).",
                "Choose another folder with --out, or move it away.",
            )
