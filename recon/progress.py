"""What a stage may say while it works. The runner shows it, logs it and keeps it in the manifest."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from fewview.recon.facts import told_facts

log = logging.getLogger("fewview")


class Progress(Protocol):
    def step(self, done: int, total: int, what: str = "") -> None:
        """`done` of `total` units are finished; `what` names the unit, such as "training step"."""

    def note(self, message: str) -> None:
        """A line for the log."""

    def fallback(self, wanted: str, used: str, reason: str) -> None:
        """Something second best was used: shown, logged and recorded in the manifest, never silent."""

    def tell(self, facts: Any) -> None:
        """Facts for the manifest, kept with the artifact for when it is cached: the stage's `Facts`
        (`fewview.recon.facts`), of which fields at their default say nothing, so that they can be told bit by bit."""


class LogProgress:
    """Progress for stages that are called without a runner: facts are kept, lines go to the log."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.fallbacks: list[dict[str, str]] = []

    def step(self, done: int, total: int, what: str = "") -> None:
        log.debug("%s %d/%d", what, done, total)

    def note(self, message: str) -> None:
        log.info(message)

    def fallback(self, wanted: str, used: str, reason: str) -> None:
        log.warning("%s instead of %s: %s", used, wanted, reason)
        self.fallbacks.append({"wanted": wanted, "used": used, "reason": reason})

    def tell(self, facts: Any) -> None:
        self.facts |= told_facts(facts)
