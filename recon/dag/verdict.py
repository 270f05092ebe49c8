"""What a whole run is worth, as manifest.json holds it. Who runs stages says how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "usable", "doubtful", "failed"]


@dataclass(frozen=True)
class RunVerdict:
    """The verdict for a run."""

    level: Level
    """`usable`: with warnings; `doubtful`: there are results, and nobody should rely on them."""
    text: str
    """In one line: "good", "usable, but ...", "do not rely on it: ..." or "failed: ..."."""
    sentence: str
    """What was done."""
    warnings: tuple[str, ...] = ()
    """What makes the result less than good, a sentence each."""
    left_out: tuple[str, ...] = ()
    """Photos (or cameras of a rig) that have no place, each with the reason: "NAME: why"."""

    def lines(self) -> list[str]:
        """The last words of a run."""
        placed = [self.sentence, *(f"  left out: {line}" for line in self.left_out)]
        return [*placed, f"Verdict: {self.text}"]

    def exit_code(self, strict: bool) -> int:
        """Of a command whose run came to its end: 1 for a doubtful one where the user is strict, else 0."""
        return int(strict and self.level == "doubtful")
