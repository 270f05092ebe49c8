"""Scenes as tasks of a Ray cluster (extra `cluster`). The output folder lies on a file system that all nodes share.

A node that is lost ends its scenes; they are started again elsewhere and continue from their artifacts. Whether
the lost node's process is really gone, the lock of the scene's folder knows.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from fewview.apps.batches.machine import thread_limits
from fewview.apps.batches.process import POLL_S, Request, SceneProcess
from fewview.apps.batches.task import Outcome
from fewview.recon.errors import EnvironmentFault

_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray listens on the machine's address on Linux and on loopback elsewhere; this setting, false, makes Linux such an
"elsewhere": Ray has no other that holds for all its servers."""
_STOP_S = 15.0


def run_here(request: Request) -> Outcome:
    """One scene to its end, on the node that Ray chose."""
    process = SceneProcess(request)
    try:
        while (outcome := process.ended()) is None:
            time.sleep(POLL_S)
        return outcome
    except KeyboardInterrupt:  # how Ray cancels
        process.interrupt()
        return process.settle()


@contextmanager
def connected(
    out: Path, address: str | None, jobs: int | None, threads: int | None, gpus: float
) -> Iterator[RayEngine]:
    """A cluster, for as long as the batch in `out` needs it; see RayEngine for the rest.

    Ray prints what befalls its nodes on standard output, which is for results: it goes to OUT/.work/ray.log.
    Its workers import from the folder in which it was started before any other: from OUT/.work, where there are no
    modules, and not from the user's.
    """
    work = (out / ".work").absolute()
    with open(work / "ray.log", "a", encoding="utf-8") as log, redirect_stdout(log):
        with chdir(work):
            engine = RayEngine(address, jobs, threads, gpus)
        try:
            yield engine
        finally:
            engine.close()


class RayEngine:
    """Submits scenes to a cluster, `jobs` at a time; Ray places them by processors, memory and GPUs."""

    def __init__(self, address: str | None, jobs: int | None, threads: int | None, gpus: float) -> None:
        """Connects.

        Args:
            address: of the cluster, such as "auto"; None starts Ray on this machine, on loopback only.
            jobs: how many scenes at once; by default what the cluster has processors (or GPUs) for.
            threads: processors of each scene; by default 2, or 1 where no node has more.
            gpus: of each scene; a fraction lets scenes share one.

        Raises:
            EnvironmentFault: Ray is not installed, no cluster answers, or no node has what a scene needs.
        """
        self._ray = import_ray(address)
        try:
            self._ray.init(
                address=address,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        except (ConnectionError, ValueError) as error:
            raise EnvironmentFault(
                f"No Ray cluster can be reached at `{address}`: {error}.",
                "Start it with `ray start --head` (docs/batch.md), or leave --address out to use this machine.",
            ) from error
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = int(max(node.get("CPU", 0) for node in nodes))
        self.threads = threads or min(2, most)
        self._gpus = gpus
        able = [node for node in nodes if node.get("CPU", 0) >= self.threads and node.get("GPU", 0) >= min(gpus, 1)]
        if not able:
            raise EnvironmentFault(
                f"None of the {len(nodes)} nodes has {self.threads} processors and {gpus:g} GPUs for a scene.",
                "Ask for less with --threads or --gpus-per-scene.",
            )
        room = sum(_scenes_on(node, self.threads, gpus) for node in able)
        self.jobs = jobs or room
        self._most_mib = max(node.get("memory", 0) for node in able) / 2**20
        self._task = self._ray.remote(max_retries=0)(run_here)
        self.running: dict[str, Any] = {}

    def close(self) -> None:
        """Leaves the cluster; one that was started here ends."""
        self._ray.shutdown()

    def fits(self, memory_mib: float) -> bool:
        return len(self.running) < self.jobs

    def start(self, request: Request, memory_mib: float) -> dict[str, Any]:
        """What is asked of memory is at most what the largest node has: alone there, a scene may try."""
        options = {
            "num_cpus": self.threads,
            "num_gpus": self._gpus,
            "memory": int(min(memory_mib, self._most_mib) * 2**20),
            "name": f"scene {request.name}",
        }
        request = replace(request, environment=tuple(thread_limits(self.threads).items()), folder=Path.cwd())
        self.running[request.name] = self._task.options(**options).remote(request)
        return {"host": "ray"}

    def poll(self) -> list[tuple[str, Outcome]]:
        names = {reference: name for name, reference in self.running.items()}
        if not names:
            return []
        ready, _ = self._ray.wait(list(names), num_returns=len(names), timeout=0)
        return [(names[reference], self._take(names[reference], reference)) for reference in ready]

    def stop(self) -> list[tuple[str, Outcome]]:
        for reference in self.running.values():
            self._ray.cancel(reference)
        deadline, ended = time.monotonic() + _STOP_S, list[tuple[str, Outcome]]()
        while self.running and time.monotonic() < deadline:
            ended += self.poll()
            time.sleep(POLL_S)
        for name, reference in list(self.running.items()):
            self._ray.cancel(reference, force=True)  # its scene dies with the worker
            ended.append((name, Outcome("stopped")))
        self.running.clear()
        return ended

    def memory_mib(self) -> dict[str, float]:
        return {}

    def _take(self, name: str, reference: Any) -> Outcome:
        del self.running[name]
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
            return outcome
        except errors.TaskCancelledError:
            return Outcome("stopped")
        except errors.OutOfMemoryError as error:
            return Outcome("memory", f"Ray ended it for want of memory: {_first_sentence(error)}.")
        except errors.RayTaskError as error:  # the supervising code itself failed, such as by a full disk
            cause = error.cause
            return Outcome("io" if isinstance(cause, OSError) else "bug", f"{type(cause).__name__}: {cause}")
        except errors.RayError as error:  # its worker or node is gone
            return Outcome("lost", f"The node that ran it was lost ({type(error).__name__}: {_first_sentence(error)}).")


def _first_sentence(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _scenes_on(node: Mapping[str, float], threads: int, gpus: float) -> int:
    by_cpu = int(node.get("CPU", 0) // threads)
    return min(by_cpu, int(node.get("GPU", 0) // gpus)) if gpus else by_cpu


def import_ray(address: str | None) -> ModuleType:
    """Ray, listening on loopback only unless `address` is another machine's.

    Raises:
        EnvironmentFault: it is not installed.
    """
    if address is None or address.startswith("127."):
        os.environ.setdefault(_LOOPBACK_ONLY, "0")  # read while ray is imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise EnvironmentFault("Ray is not installed.", "pip install 'fewview[cluster]'") from error
    return ray
