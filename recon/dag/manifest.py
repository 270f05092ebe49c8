"""manifest.json: what was asked, on what machine, and what became of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fewview.recon.dag.artifact import WORK, Record
from fewview.recon.dag.files import write_json
from fewview.recon.dag.isolate import RemoteError
from fewview.recon.dag.keys import overall_digest
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.errors import FewviewError

SCHEMA = 1
Status = Literal["planned", "running", "ok", "cached", "failed", "skipped"]


@dataclass
class StageEntry:
    """What became of one stage."""

    status: Status = "planned"
    reason: str = ""
    """Why it ran, was skipped or, in a dry run, would run."""
    key: str | None = None
    attempts: int = 0
    """How often it was started until it succeeded with this key; more than 1 after kills and failures."""
    seconds: float | None = None
    """Of the attempt that made the artifact, also where it is cached now."""
    peak_mib: float | None = None
    error: dict[str, str | None] | None = None
    """`class`, `message` and `remedy` (None for a bug)."""
    log: str | None = None
    config: Any = None
    inputs: dict[str, str] = field(default_factory=dict)
    """Digest of every artifact it read."""
    outputs: dict[str, dict[str, str | int]] = field(default_factory=dict)
    digest: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    fallbacks: list[dict[str, str]] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """States what the record of a finished artifact says."""
        self.key, self.attempts, self.seconds, self.peak_mib = (
            record.key,
            record.attempts,
            record.seconds,
            record.peak_mib,
        )
        self.outputs, self.digest, self.facts, self.fallbacks = (
            record.files,
            record.digest,
            record.facts,
            record.fallbacks,
        )


@dataclass
class Manifest:
    """The whole of manifest.json; also what `run_stages` returns."""

    out: Path
    program: str
    arguments: list[str]
    request: dict[str, Any]
    """`until`, `from` and `force`."""
    stages: dict[str, StageEntry]
    state: Literal["planned", "running", "complete", "failed", "interrupted"] = "planned"
    pending: list[str] = field(default_factory=list)
    """Stages that --from or --force asked to redo and that are not yet: the same command continues there."""
    environment: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By stage, the user's files it read: `path` and `files` with their hashes."""
    started: str = ""
    """UTC, ISO 8601."""
    verdict: RunVerdict | None = None
    """None while the run has not come to its end, or where nobody judges."""
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """One digest for all artifacts of this run."""
        return overall_digest({name: entry.digest for name, entry in self.stages.items() if entry.digest})

    def artifact(self, stage: str) -> Path:
        """The folder of a stage's artifact."""
        return self.out / stage

    def save(self) -> None:
        """Rewrites manifest.json atomically."""
        value = {"schema": self.schema, **asdict(self), "digest": self.digest}
        del value["out"]
        write_json(self.out / "manifest.json", value, self.out / WORK)


def describe(error: BaseException) -> dict[str, str | None]:
    """An exception as the manifest shows it."""
    if isinstance(error, FewviewError):
        return {"class": type(error).__name__, "message": error.what, "remedy": error.remedy}
    if isinstance(error, RemoteError):
        return {"class": error.class_name, "message": error.message, "remedy": None}
    return {"class": type(error).__name__, "message": str(error), "remedy": None}


def attempts_before(stored: Any, stage: str, key: str) -> int:
    """How often a stage was started in vain with this key, by the manifest that an earlier run left."""
    try:
        entry = stored["stages"][stage]
        tried = entry["key"] == key and entry["status"] in ("running", "failed")
        return int(entry["attempts"]) if tried else 0
    except (KeyError, TypeError, ValueError):
        return 0


def still_pending(stored: Any, request: dict[str, Any], asked: Sequence[str]) -> list[str]:
    """Which of the stages to redo are left, if a run with the same request was killed or interrupted."""
    try:
        if stored["state"] in ("running", "interrupted") and stored["request"] == request:
            return [name for name in asked if name in stored["pending"]]
    except (KeyError, TypeError):
        pass
    return list(asked)
