"""What a stage is, and the graph that stages form."""

from __future__ import annotations

import graphlib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.errors import InputError
from recon.progress import Progress

StageFunction = Callable[[Mapping[str, Path], Any, Path, Progress], None]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = frozenset({"logs", "manifest"})


@dataclass(frozen=True)
class Stage:
    """One step of a run: a function that fills an artifact folder."""

    name: str
    """Also the name of the artifact folder: lower-case letters, digits and underscores."""
    run: StageFunction | str
    """`run(inputs, config, out, progress)`, or where to import it from, such as "recon.sfm:run". The path is
    resolved when the stage starts, so that declaring a graph loads nothing heavy."""
    needs: tuple[str, ...] = ()
    config: Any = None
    """A frozen dataclass. Fields with `metadata={"key": False}` (such as a thread count that cannot change
    the result) do not enter the key; a function there says what does."""
    version: int = 1
    """Raised whenever the code changes what it writes: earlier artifacts are then redone."""
    sources: tuple[Path, ...] = ()
    """The user's files and folders that the stage reads: relative names and contents enter the key."""
    weights: tuple[str, ...] = ()
    """SHA-256 of every file of network weights the stage loads."""
    isolated: bool = False
    """Run in a child process, for native code that may abort. The function must then be importable."""

    def __post_init__(self) -> None:
        if self.isolated:
            import_path(self.run)
        if not _NAME.fullmatch(self.name) or self.name in _RESERVED:
            raise ValueError(f"{self.name!r} cannot name a stage: use a-z, 0-9 and _, and none of {sorted(_RESERVED)}")


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


class Graph:
    """Stages in an order in which each follows what it needs; ties keep the order of declaration.

    Raises:
        ValueError: two stages share a name, a need is not declared, or the needs form a cycle.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        declared = list(stages)
        by_name = {stage.name: stage for stage in declared}
        if len(by_name) != len(declared):
            raise ValueError("two stages share a name")
        for stage in declared:
            if unknown := [need for need in stage.needs if need not in by_name]:
                raise ValueError(f"stage {stage.name} needs {unknown[0]}, which is not declared")
        position = {stage.name: i for i, stage in enumerate(declared)}
        sorter = graphlib.TopologicalSorter({stage.name: stage.needs for stage in declared})
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise ValueError(f"the stages form a cycle: {' -> '.join(error.args[1])}") from error
        self.stages: list[Stage] = []
        ready: list[str] = []
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()], key=position.__getitem__)
            name = ready.pop(0)
            self.stages.append(by_name[name])
            sorter.done(name)
        self.names = [stage.name for stage in self.stages]

    def ancestors(self, name: str) -> set[str]:
        """`name` and everything it depends on."""
        found = {name}
        for stage in reversed(self.stages):
            if stage.name in found:
                found.update(stage.needs)
        return found

    def descendants(self, name: str) -> set[str]:
        """`name` and everything that depends on it."""
        found = {name}
        for stage in self.stages:
            if found.intersection(stage.needs):
                found.add(stage.name)
        return found

    def check(self, option: str, names: Sequence[str]) -> None:
        """Raises InputError where an option names no stage."""
        for name in names:
            if name not in self.names:
                raise InputError(f"{option} {name}: there is no such stage.", f"Choose from {', '.join(self.names)}.")
