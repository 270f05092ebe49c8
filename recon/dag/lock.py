"""One run per output folder, with owners that were killed told from those at work.

On one machine the kernel's file lock decides: it vanishes with its owner, however that one ended. Where files
cannot be locked, or the owner is on another machine that shares the folder, the owner's identity (machine,
process and start time) and its heartbeat, the lock file's modification time, decide.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import secrets
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from fewview.recon.errors import EnvironmentFault, InUseFault

BEAT_S = 5.0
STALE_S = 60.0
"""A remote owner is taken for dead after this long without a heartbeat."""
SETTLE_S = 0.3

_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
"""The last is what NFS says of folders."""


class FolderLock:
    """Context manager that holds OUT/.work/lock.

    Raises:
        InUseFault: another run is at work; the message names it.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path = out / ".work" / "lock"
        self._owner = {
            **machine(),
            "pid": os.getpid(),
            "started": start_time(os.getpid()),
            "token": secrets.token_hex(8),
        }
        self._stop = threading.Event()
        self._descriptor = -1
        self.notes: list[str] = []
        """What the log should say about how the lock was got."""

    def __enter__(self) -> FolderLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            guarded = self._flock()
            owner = self._read()
            if owner and _alive(owner, guarded, self._age()):
                raise self._taken(owner)
            if owner:
                self.notes.append(f"took over from {_describe(owner)}, which is gone")
            self._write(self._owner)
            if not guarded:
                self.notes.append("files cannot be locked on this file system: relying on heartbeats")
                self._stop.wait(SETTLE_S)  # two that start at once: the last to write wins
                self.check()
        except BaseException:
            os.close(self._descriptor)
            raise
        threading.Thread(target=self._beat, name="fewview-lock", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        owner = self._read()
        if owner and owner.get("token") == self._owner["token"]:
            os.ftruncate(self._descriptor, 0)  # emptied, not deleted: deleting would race with one that opens it
        os.close(self._descriptor)

    def check(self) -> None:
        """Raises EnvironmentFault where another run took the folder, as after this machine slept."""
        owner = self._read()
        if owner is None or owner.get("token") != self._owner["token"]:
            by = f" by {_describe(owner)}" if owner else ""
            raise EnvironmentFault(
                f"The lock on `{self._out}` was taken{by} while this run was at work.",
                "Wait until that run has ended, then run again.",
            )

    def _flock(self) -> bool:
        held = try_lock(self._descriptor)
        if held is False:
            raise self._taken(self._read())
        return held is True

    def _taken(self, owner: dict[str, Any] | None) -> InUseFault:
        who = _describe(owner) if owner else "another process"
        return InUseFault(
            f"`{self._out}` is in use by {who}.",
            "Wait until it has ended, or choose another folder with --out.",
        )

    def _read(self) -> dict[str, Any] | None:
        try:
            stored = json.loads(os.pread(self._descriptor, 4096, 0))
        except json.JSONDecodeError:  # released, or killed before the first write
            return None
        return stored if isinstance(stored, dict) else None

    def _write(self, owner: dict[str, Any]) -> None:
        text = json.dumps(owner).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))
        os.fsync(self._descriptor)

    def _age(self) -> float:
        """Seconds since the last heartbeat, by the file system's own clock."""
        probe = self._path.with_name(f"clock-{self._owner['token']}.tmp")
        probe.touch()
        try:
            return probe.stat().st_mtime - os.fstat(self._descriptor).st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            # A network file system that stumbles will be back; if the folder went away, the run itself will say so.
            with contextlib.suppress(OSError):
                os.utime(self._path)


def try_lock(descriptor: int) -> bool | None:
    """Takes the kernel's lock on an open file or folder: whether it was free; None where it cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def at_work(out: Path) -> str | None:
    """Who holds the lock of a folder, judged without touching it, or None."""
    path = out / ".work" / "lock"
    try:
        owner, age_s = json.loads(path.read_text()), time.time() - path.stat().st_mtime
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return _describe(owner) if _alive(owner, False, age_s) else None


def machine() -> dict[str, str]:
    """This machine's name and, on Linux, the identity of its current boot (shared by its containers)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return {"host": platform.node(), "boot": boot}


def start_time(pid: int) -> str | None:
    """When a process started, in ticks: tells it from a later one with the same number. None if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def _alive(owner: dict[str, Any], guarded: bool, age_s: float) -> bool:
    here = machine()
    if here["boot"] and owner.get("boot") == here["boot"] and guarded:
        return False  # its kernel lock is gone, so it is
    if owner.get("host") != here["host"]:
        return age_s < STALE_S
    if owner.get("boot") != here["boot"]:
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return owner.get("started") == start_time(int(owner["pid"]))


def _describe(owner: dict[str, Any]) -> str:
    return f"process {owner.get('pid')} on {owner.get('host')}"
