"""A kind of hostile input: a function that writes it and says the command, and how that command must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Group = Literal["photos", "scene", "cameras", "rig", "results"]
"""`photos`: three good photos and something bad, `run`; `scene`: readable photos of something that cannot or can hardly
be reconstructed, `run`; `cameras`: given cameras, `run`; `rig`: `calibrate`; `results`: `export`, `render`, `evaluate`
of a finished run."""


@dataclass(frozen=True)
class Place:
    """What a kind may spoil; everything is a copy of its own."""

    photos: Path
    """Folder of three photos of one place: a.jpg, b.jpg, c.jpg."""
    rig: Path
    """Folder of three cameras' OpenPose JSON of one person, cam1 to cam3; images of 640x480."""
    run: Path
    """Finished `fewview run` on photos like those in `photos`, or as much of it as `results` needs."""
    out: Path
    """Absent; where the command shall write."""

    @property
    def command(self) -> list[str]:
        return ["run", str(self.photos), "--out", str(self.out)]

    @property
    def calibrate(self) -> list[str]:
        return ["calibrate", str(self.rig), "--out", str(self.out), "--sizes", "640x480"]

    def export(self, *formats: str) -> list[str]:
        return ["export", str(self.run), "--to", str(self.out), *(("--format", *formats) if formats else ())]


Write = Callable[[Place], list[str]]


@dataclass(frozen=True)
class Kind:
    name: str
    group: Group
    write: Write
    """Writes the input into the place; returns the words of the command."""
    codes: tuple[int, ...]
    """Exit codes that are right: of `run`, until its first stage that sees the input."""
    whole: tuple[int, ...]
    """The same for the whole command."""
    says: tuple[str, ...]
    """Words of standard error."""


KINDS: dict[str, Kind] = {}


def kind(
    group: Group, code: int | tuple[int, ...], *says: str, whole: int | tuple[int, ...] | None = None
) -> Callable[[Write], Write]:
    """Registers the function below as a kind named like it."""

    def register(write: Write) -> Write:
        codes = code if isinstance(code, tuple) else (code,)
        wholes = codes if whole is None else whole if isinstance(whole, tuple) else (whole,)
        assert write.__name__ not in KINDS
        KINDS[write.__name__] = Kind(write.__name__, group, write, codes, wholes, says)
        return write

    return register


def left_out(name: str, reason: str) -> str:
    """What `run` says of a photo that it goes on without."""
    return f"the photos without {name} instead of all photos: {reason}"
