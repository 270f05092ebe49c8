"""Scenes as child processes of this one, as many as memory, processors and GPUs allow."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewview.apps.batches.machine import available_mib, thread_limits
from fewview.apps.batches.process import Request, SceneProcess
from fewview.apps.batches.task import Outcome

_FLOOR_MIB = 300.0
"""With less than this left, the system begins to kill or to swap: a scene must go first."""


@dataclass(frozen=True)
class Running:
    """A scene at work and what it holds."""

    process: SceneProcess
    reserved_mib: float
    gpu: str | None


class LocalEngine:
    """Starts scenes while their estimates fit into `budget_mib`, and ends the greediest where they do not."""

    def __init__(self, jobs: int, threads: int, budget_mib: float, gpus: Sequence[str] = ()) -> None:
        """`gpus` are values for CUDA_VISIBLE_DEVICES; none leaves it as it is."""
        self._jobs, self._threads, self._budget_mib, self._gpus = jobs, threads, budget_mib, list(gpus)
        self.running: dict[str, Running] = {}

    def fits(self, memory_mib: float) -> bool:
        """One scene alone always may: the estimate may be wrong, and the watch would end it."""
        reserved = sum(max(scene.reserved_mib, scene.process.memory_mib) for scene in self.running.values())
        return not self.running or (len(self.running) < self._jobs and reserved + memory_mib <= self._budget_mib)

    def start(self, request: Request, memory_mib: float) -> dict[str, Any]:
        gpu = self._freest_gpu()
        environment = {**thread_limits(self._threads), **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})}
        process = SceneProcess(replace(request, environment=tuple(environment.items())))
        self.running[request.name] = Running(process, memory_mib, gpu)
        return {"host": platform.node(), "pid": process.pid, **({"gpu": gpu} if gpu else {})}

    def poll(self) -> list[tuple[str, Outcome]]:
        ended = []
        for name, scene in list(self.running.items()):
            if outcome := scene.process.ended():
                del self.running[name]
                ended.append((name, outcome))
        self._guard_memory()
        return ended

    def stop(self) -> list[tuple[str, Outcome]]:
        for scene in self.running.values():
            scene.process.interrupt()
        ended = [(name, scene.process.settle()) for name, scene in self.running.items()]
        self.running.clear()
        return ended

    def memory_mib(self) -> dict[str, float]:
        return {name: scene.process.memory_mib for name, scene in self.running.items()}

    def _freest_gpu(self) -> str | None:
        used = Counter(scene.gpu for scene in self.running.values())
        return min(self._gpus, key=lambda gpu: used[gpu], default=None)

    def _guard_memory(self) -> None:
        if not self.running or any(scene.process.ending for scene in self.running.values()):
            return
        used = sum(scene.process.memory_mib for scene in self.running.values())
        if used <= self._budget_mib and available_mib() >= _FLOOR_MIB:
            return
        greediest = max(self.running.values(), key=lambda scene: scene.process.memory_mib - scene.reserved_mib)
        took = greediest.process.memory_mib
        if took > 0:
            greediest.process.end(
                "memory", f"It took {took:.0f} MiB, of {self._budget_mib:.0f} MiB that there were for all scenes."
            )


def jobs_that_fit(budget_mib: float, estimates_mib: Sequence[float], cpus: int, gpus: int) -> int:
    """How many scenes to run at once where the user does not say: as many as memory holds of the largest, two
    processors each (a scene has parts that one processor does), or one a GPU."""
    largest = max(estimates_mib, default=1.0)
    by_memory = math.floor(budget_mib / max(largest, 1.0))
    return max(1, min(by_memory, gpus or math.ceil(cpus / 2)))
