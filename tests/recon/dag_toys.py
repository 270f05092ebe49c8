"""Tiny stages for the tests of the runner; a module of its own, because child processes import it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewview.recon.dag import Stage
from fewview.recon.errors import ReconstructionError
from fewview.recon.progress import Progress


@dataclass(frozen=True)
class Toy:
    """What the toy stages do."""

    text: str = "x"
    threads: int = field(default=1, metadata={"key": False})
    calls: Path | None = field(default=None, metadata={"key": False})
    """A file that gets one line a call."""
    crash: str = ""


@dataclass(frozen=True)
class Letters:
    """Facts of `write`."""

    letters: int | None = None


@dataclass(frozen=True)
class Told:
    """Facts of `tell`."""

    size: tuple[int, float | None] | None = None
    notes: tuple[str, ...] = ()


class NoOverlapError(ReconstructionError):
    """A subclass that the parent does not know."""


class OddError(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("odd")
        self.function = lambda: None


def write(inputs: Mapping[str, Path], config: Toy, out: Path, progress: Progress) -> None:
    """Writes its text and what it read, in two files, one in a folder."""
    if config.calls:
        with open(config.calls, "a") as file:
            file.write(f"{out.name.rpartition('-')[0]}\n")
    progress.step(1, 2, "half")
    (out / "text.txt").write_text(config.text + "".join((i / "text.txt").read_text() for i in inputs.values()))
    (out / "deep").mkdir()
    (out / "deep" / "bytes.bin").write_bytes(config.text.encode() * 1000)
    progress.step(2, 2, "half")
    progress.tell(Letters(len(config.text)))


def tell(inputs: Mapping[str, Path], config: Toy, out: Path, progress: Progress) -> None:
    """Says everything that can be said."""
    progress.note("a note")
    progress.fallback("stereo", "guessing", "only one photo")
    progress.tell(Told(size=(2, float("nan"))))
    print("printed")
    (out / "told.txt").write_text("told")


def crash(inputs: Mapping[str, Path], config: Toy, out: Path, progress: Progress) -> None:
    """Ends in the way that `config.crash` names."""
    (out / "partial.txt").write_text("partial")
    CRASHES[config.crash]()


def _raise(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def _fill_disk() -> None:
    with open("/dev/full", "w") as file:  # fails as a full disk does, with the error of the kernel
        file.write("x" * 100_000)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))


CRASHES: dict[str, Callable[[], object]] = {
    "": lambda: None,
    "abort": os.abort,
    "segv": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "bug": _raise(ValueError("a bug")),
    "odd": _raise(OddError()),
    "overlap": _raise(NoOverlapError("The photos do not overlap.", "Take more.")),
    "memory": _raise(MemoryError("too much")),
    "torch": _raise(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")),
    "full": _fill_disk,
    "limit": _limit,
    "interrupt": _raise(KeyboardInterrupt()),
    "sleep": lambda: time.sleep(60),
}


def double(value: int, progress: Progress | None = None) -> int:
    """For `run_isolated`."""
    if progress:
        progress.step(1, 1, "doubling")
        progress.fallback("fast", "slow", "toy")
        progress.tell(Letters(value))
    return 2 * value


def chain(config: Toy, **changes: Any) -> list[Stage]:
    """first -> second -> third, and side, which needs first only."""
    common = {"run": write, "config": config, "facts": Letters, **changes}
    return [
        Stage("first", **common),
        Stage("second", needs=("first",), **common),
        Stage("third", needs=("first", "second"), **common),
        Stage("side", needs=("first",), **common),
    ]


def tree(out: Path) -> dict[str, bytes]:
    """Every artifact file of a run with its content."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and path.relative_to(out).parts[0] not in (".work", "logs", "manifest.json")
        and path.name != ".stage.json"
    }


def leave_another() -> int:
    """Ends while what it started is at work: in its own group or, where its argument says so, in another."""
    started = subprocess.Popen(["sleep", "600"], process_group=0 if sys.argv[1] else None)
    Path("left").write_text(str(started.pid))
    return 7


def refuse() -> None:
    """Listens to nobody."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    Path("ready").touch()
    time.sleep(600)
