"""What a failure says about the machine: a full disk, a denied write, too little memory."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewview.recon.errors import EnvironmentFault, MemoryFault

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit on file size is reached",
}
_DENIED = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "part of its path is a file",
}
_ALMOST_NOTHING = 1 << 20  # bytes


def write_fault(error: BaseException, out: Path, option: str = "--out") -> EnvironmentFault | None:
    """What a failed write means to the user, or None where the error says nothing about the machine.

    Some libraries report a full disk as an error of their own without a number: the free space is asked, too.

    Args:
        error: what was raised while writing below `out`.
        out: the output folder.
        option: by which it was chosen.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return _no_space(out, _FULL[number], option)
    name = error.filename if isinstance(error, OSError) else None
    inside = isinstance(name, str | os.PathLike) and Path(name).absolute().is_relative_to(out.absolute())
    if number in _DENIED and (inside or (name is None and number == errno.EROFS)):
        return EnvironmentFault(
            f"`{name or out}` cannot be written: {_DENIED[number]}.", f"Choose another folder with {option}."
        )
    if isinstance(error, Exception) and out.exists() and shutil.disk_usage(out).free < _ALMOST_NOTHING:
        return _no_space(out, _FULL[errno.ENOSPC], option)
    return None


def _no_space(out: Path, why: str, option: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"`{out}` cannot be written: {why}.",
        f"Make room there or choose another folder with {option}, and run again: finished stages are kept.",
    )


@contextmanager
def writing(out: Path, option: str = "--out") -> Iterator[None]:
    """Turns failed writes below `out` into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        if fault := write_fault(error, out, option):
            raise fault from error
        raise


def memory_fault(error: BaseException, who: str) -> MemoryFault | None:
    """The fault behind a failed allocation, or None. Torch has no class for those of the CPU, only a text."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return MemoryFault(f"{who} ran out of memory.", "Close other programs, or ask for less.")
    return None
