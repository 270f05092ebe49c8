"""The graph that stages form."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Sequence

from fewview.recon.errors import InputError
from fewview.recon.stage import Stage


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
