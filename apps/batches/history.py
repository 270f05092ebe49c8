"""What the events say about every scene: the journal, folded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Event = dict[str, Any]
Status = Literal["waiting", "running", "done", "failed"]


@dataclass
class SceneHistory:
    """What became of one scene."""

    ended: Event | None = None
    """The last `done` or `failed`."""
    batch: int = 0
    """In which batch that was."""
    running: Event | None = None
    """The last `started`, where nothing says how that attempt ended."""
    failures: int = 0
    """Attempts in vain since it last ended, in the current batch; those that ended with the batch's own process
    do not count."""
    setting: int = 0
    """Which of its settings is next: 0 is the one asked for."""

    @property
    def status(self) -> Status:
        if self.running:
            return "running"
        return "waiting" if self.ended is None else self.ended["event"]


@dataclass
class History:
    """What became of the batch so far."""

    scenes: dict[str, SceneHistory] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """The scenes of the last command, in its order."""
    batch: int = 0
    """Number of the last batch: a command that continues a killed or interrupted one continues its number."""
    open: bool = False
    """The last batch did not come to its end."""

    def of(self, scene: str) -> SceneHistory:
        return self.scenes.setdefault(scene, SceneHistory())

    def take(self, event: Event) -> None:
        """Adds what an event says."""
        kind = event["event"]
        if kind == "batch":
            if event["batch"] != self.batch:
                for scene in self.scenes.values():
                    scene.failures = scene.setting = 0
            self.batch, self.open = event["batch"], True
            self.names = event.get("scenes", self.names)
        elif kind == "end":
            self.open = False
        elif isinstance(name := event.get("scene"), str):
            _take(self.of(name), kind, event, self.batch)


def fold(events: Iterable[Event]) -> History:
    """The state after `events`."""
    history = History()
    for event in events:
        history.take(event)
    return history


def _take(scene: SceneHistory, kind: str, event: Event, batch: int) -> None:
    if kind == "started":
        scene.running = event
    elif kind == "retry":
        scene.running = None
        scene.failures += 1
    elif kind == "fallback":
        scene.setting = event["setting"]
    elif kind in ("busy", "stopped"):
        scene.running = None
    elif kind in ("done", "failed"):
        scene.ended, scene.batch = event, batch
        scene.running = None
        scene.failures = scene.setting = 0
    elif kind == "unchanged" and scene.ended:
        scene.ended = {**scene.ended, "inputs": event["inputs"], "manifest": event["manifest"]}
