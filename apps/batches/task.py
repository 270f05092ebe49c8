"""What the scheduler is given and what it gets back; both travel between machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["done", "input", "reconstruction", "bug", "timeout", "memory", "killed", "io", "busy", "lost", "stopped"]

PERMANENT: frozenset[Kind] = frozenset({"input", "reconstruction"})
"""With the same photos and options it would happen again."""
TRANSIENT: frozenset[Kind] = frozenset({"memory", "killed", "io", "lost"})
"""Another attempt may succeed; `memory` with a smaller setting."""


@dataclass(frozen=True)
class Setting:
    """One way to run a scene."""

    name: str
    arguments: tuple[Any, ...]
    """What the child's function is called with; picklable."""
    memory_mib: float = 0.0
    """Estimated peak."""


@dataclass(frozen=True)
class Task:
    """A scene as it is to be run."""

    name: str
    """Also the name of its folder below the output folder."""
    call: str
    """ "module:function" for the child process."""
    settings: tuple[Setting, ...]
    """As asked for, then ever smaller ones for when memory runs out. Empty where `problem` says why."""
    recipe: str
    """SHA-256 of everything but the contents of the input files that the results depend on."""
    inputs: str
    """SHA-256 of the input files' names, sizes, times and inodes."""
    sources: tuple[tuple[str, tuple[Path, ...]], ...] = ()
    """By stage, the input files."""
    disk_mib: float = 0.0
    """Estimated size of the results."""
    redo: bool = False
    """--from or --force asks for work although everything is up to date."""
    weights: tuple[str, ...] = ()
    """Names of the network weights it needs."""
    problem: tuple[str, str] | None = None
    """Bad input that is known without starting anything: what and remedy."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    kind: Kind
    message: str = ""
    seconds: float = 0.0
    peak_mib: float | None = None
    """Of the child and its own children together, as sampled."""
    host: str = ""
