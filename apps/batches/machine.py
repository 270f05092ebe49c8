"""What a machine has and what processes take of it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_CGROUPS = Path("/sys/fs/cgroup")


def cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_mib() -> float:
    """Memory that can still be had, by the system and by the control group (of a container or a Slurm job)."""
    try:
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        match = None
    if match is None:  # no Linux: half of what there is
        return os.sysconf("SC_PHYS_PAGES") * _PAGE_MIB / 2
    return min(int(match[1]) / 1024, *_group_rooms_mib(), float("inf"))


def _group_rooms_mib() -> list[float]:
    """What every control group (version 2) above this process has left; caches count as free."""
    rooms = []
    with contextlib.suppress(OSError, IndexError, ValueError):
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
        for folder in (_CGROUPS / own, *(_CGROUPS / own).parents):
            if not (folder / "memory.max").is_file():
                break
            limit = (folder / "memory.max").read_text().strip()
            if limit != "max":
                cache = re.search(r"^inactive_file (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
                used = int((folder / "memory.current").read_text()) - int(cache[1] if cache else 0)
                rooms.append((int(limit) - used) / 2**20)
    return rooms


def tree_mib(pid: int) -> float:
    """Resident memory of a process and all its descendants; shared pages count for each. 0 without /proc."""
    total, left = 0.0, [str(pid)]
    while left:
        process = Path("/proc", left.pop())
        with contextlib.suppress(OSError, IndexError):  # ended meanwhile
            total += int((process / "statm").read_text().split()[1]) * _PAGE_MIB
            for thread in (process / "task").iterdir():
                left += (thread / "children").read_text().split()
    return total


def oom_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory since it started."""
    try:
        match = re.search(r"^oom_kill (\d+)", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(match[1]) if match else 0


def thread_limits(threads: int) -> dict[str, str]:
    """Environment that gives a scene its share of the processors; what the user has set stays."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: str(threads) for name in names if name not in os.environ}
