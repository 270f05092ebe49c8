"""What a stage says of itself (`StageSpec`), and a stage with its configuration, ready to run (`Stage`).

A spec stands in the package of its stage and loads nothing heavy: commands read names, titles and options from it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from fewview.recon.facts import check_facts, read_facts
from fewview.recon.progress import Progress

StageFunction = Callable[[Mapping[str, Path], Any, Path, Progress], None]
ConfigT = TypeVar("ConfigT")
FactsT = TypeVar("FactsT")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = frozenset({"logs", "manifest"})


@dataclass(frozen=True)
class NoFacts:
    """Of a stage that tells nothing."""


@dataclass(frozen=True)
class Stage:
    """One step of a run: a function that fills an artifact folder. The program has them made by `StageSpec.stage`."""

    name: str
    """Also the name of the artifact folder: lower-case letters, digits and underscores."""
    run: StageFunction | str
    """`run(inputs, config, out, progress)`, or where to import it from, such as "fewview.recon.depth.stage:run". The
    path is resolved when the stage starts, so that declaring a graph loads nothing heavy."""
    needs: tuple[str, ...] = ()
    config: Any = None
    """A frozen dataclass. Fields with `metadata={"key": False}` (such as a thread count that cannot change
    the result) do not enter the key; a function there says what does."""
    sources: tuple[Path, ...] = ()
    """The user's files and folders that the stage reads: relative names and contents enter the key."""
    weights: tuple[str, ...] = ()
    """SHA-256 of every file of network weights the stage loads."""
    isolated: bool = False
    """Run in a child process, for native code that may abort. The function must then be importable."""
    facts: type[Any] = NoFacts
    """What `progress.tell` takes while it runs."""

    def __post_init__(self) -> None:
        if self.isolated:
            import_path(self.run)
        if not _NAME.fullmatch(self.name) or self.name in _RESERVED:
            raise ValueError(f"{self.name!r} cannot name a stage: use a-z, 0-9 and _, and none of {sorted(_RESERVED)}")
        check_facts(self.facts)


def _nothing(_: Any) -> tuple[Any, ...]:
    return ()


@dataclass(frozen=True)
class StageSpec(Generic[ConfigT, FactsT]):
    """All that the program knows of a stage; fields that `Stage` has too are described there."""

    name: str
    title: str
    """What it makes, as people read it."""
    run: StageFunction | str
    Config: type[ConfigT]
    """Its options: a frozen dataclass whose fields have defaults."""
    Facts: type[FactsT]
    """What it tells the manifest: a frozen dataclass whose fields have defaults, see `fewview.recon.facts`."""
    needs: tuple[str, ...] | Callable[[ConfigT], tuple[str, ...]] = ()
    """The stages whose artifacts it reads, where they depend on its options as a function of these."""
    sources: Callable[[ConfigT], tuple[Path, ...]] = _nothing
    weights: Callable[[ConfigT], tuple[str, ...]] = _nothing
    isolated: bool = False
    result: str | None = None
    """The file of its artifact that a user looks at first."""
    typical_s: float = 5.0
    """Seconds for six photos on two cores, preset `default`: what guesses of the time left start from."""

    def stage(self, config: ConfigT) -> Stage:
        """The stage with its options.

        Raises:
            InputError: what the options name is missing.
        """
        return Stage(
            name=self.name,
            run=self.run,
            needs=self.needs(config) if callable(self.needs) else self.needs,
            config=config,
            sources=self.sources(config),
            weights=self.weights(config),
            isolated=self.isolated,
            facts=self.Facts,
        )

    def told(self, stored: Mapping[str, Any]) -> FactsT:
        """What the stage told, from the facts of a manifest or a record, also of an older program's.

        Raises:
            ValueError: a fact is not of its type.
        """
        return read_facts(self.Facts, stored)


def import_path(function: Callable[..., Any] | str) -> str:
    """ "module:name" of a function that another process can import.

    Raises:
        ValueError: a lambda, a nested function or one of the main script, which no other process can import.
    """
    if isinstance(function, str):
        return function
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or "<" in name:
        raise ValueError(f"{module}:{name} cannot run in a child process: it must be importable from a module")
    return f"{module}:{name}"


def resolve(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function behind "module:name"."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{function} is not a function")
    return found
