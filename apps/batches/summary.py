"""What became of every scene, for the table, the page, `status` and `--json`: the history, read for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewview.apps.batches.history import History, Status
from fewview.recon.dag.verdict import Level


@dataclass(frozen=True)
class Row:
    """A scene."""

    name: str
    status: Status
    kind: str | None = None
    """Of a failure: see docs/batch.md."""
    message: str | None = None
    """Of a failure."""
    attempts: int = 0
    """Of the last time it ran; 0 where it never was started."""
    seconds: float | None = None
    """Of the last attempt."""
    peak_mib: float | None = None
    digest: str | None = None
    setting: str | None = None
    instead_of: str | None = None
    """What was asked for, where memory ran out and a smaller setting was used."""
    level: Level | None = None
    """Of the verdict for a scene that is done; None where nobody judged it, as before verdicts were kept."""
    verdict: str | None = None
    """In one line."""


def row(history: History, name: str) -> Row:
    """What the history says of a scene."""
    past = history.of(name)
    event = past.ended or {}
    verdict = event.get("verdict") or {}
    if past.status in ("waiting", "running"):
        started = past.running or {}
        return Row(name, past.status, attempts=started.get("attempt", 0), setting=started.get("setting"))
    return Row(
        name,
        past.status,
        event.get("kind"),
        event.get("message"),
        event["attempt"],
        event.get("seconds"),
        event.get("peak_mib"),
        event.get("digest"),
        event.get("setting"),
        event.get("instead_of"),
        verdict.get("level"),
        verdict.get("text"),
    )


def rows(history: History) -> list[Row]:
    """All scenes of the last command, in its order."""
    return [row(history, name) for name in history.names]


def counts(found: Iterable[Row]) -> dict[str, int]:
    """How many scenes are done, failed, running and waiting."""
    counted = Counter(item.status for item in found)
    return {status: counted[status] for status in ("done", "failed", "running", "waiting")}


def remarks(found: Iterable[Row]) -> list[str]:
    """A line for each scene that failed or is less than good: its name, and why."""
    said = []
    for item in found:
        if item.status == "failed":
            said.append(f"{item.name}  failed ({item.kind}): {item.message}")
        elif item.status == "done" and item.level not in (None, "good"):
            said.append(f"{item.name}  {item.verdict}")
    return said


def doubtful(found: Iterable[Row]) -> bool:
    """Whether nobody should rely on one of the scenes that are done."""
    return any(item.status == "done" and item.level == "doubtful" for item in found)


def as_json(out: Path, found: list[Row], at_work: bool) -> str:
    """What `--json` prints."""
    value: dict[str, Any] = {
        "schema": 1,
        "out": str(out),
        "at_work": at_work,
        "counts": counts(found),
        "scenes": [asdict(item) for item in found],
    }
    return json.dumps(value, indent=1, sort_keys=True)
