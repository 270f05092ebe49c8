"""Peak resident memory of a process while a stage runs."""

from __future__ import annotations

import re
from pathlib import Path

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def peak_mib(pid: int | str = "self") -> float | None:
    """Largest resident memory of a process in MiB since its start or the last reset; None without /proc.

    What getrusage reports would be wrong for a child: it includes what its parent held at the fork.
    """
    try:
        match = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:  # no /proc here, or the process has ended
        return None
    return round(int(match[1]) / 1024, 1) if match else None


def reset_peak() -> bool:
    """Forgets this process's peak, so that the next reading is the stage's own; False where that fails."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
