"""Writing so that a kill or a power cut leaves either the old file or the new one, and saying why a write failed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recon.errors import EnvironmentFault

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit on file size is reached",
}
_DENIED = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
}
_ALMOST_NOTHING = 1 << 20  # bytes


def write_fault(error: BaseException, out: Path) -> EnvironmentFault | None:
    """What a failed write means to the user, or None where the error says nothing about the machine.

    Some libraries report a full disk as an error of their own without a number, so the free space is asked too.

    Args:
        error: what was raised while writing below `out`.
        out: the output folder.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return _no_space(out, _FULL[number])
    name = error.filename if isinstance(error, OSError) else None
    inside = isinstance(name, str | os.PathLike) and Path(name).absolute().is_relative_to(out.absolute())
    if number in _DENIED and (inside or name is None):
        return EnvironmentFault(
            f"`{name or out}` cannot be written: {_DENIED[number]}.", "Choose another folder with --out."
        )
    if isinstance(error, Exception) and out.exists() and shutil.disk_usage(out).free < _ALMOST_NOTHING:
        return _no_space(out, _FULL[errno.ENOSPC])
    return None


def _no_space(out: Path, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"`{out}` cannot be written: {why}.",
        "Make room there or choose another folder with --out, and run again: finished stages are kept.",
    )


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turns failed writes below `out` into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        if fault := write_fault(error, out):
            raise fault from error
        raise


def write_json(path: Path, value: Any, scratch: Path) -> None:
    """Replaces `path` atomically and durably; `scratch` is a folder on the same file system."""
    temporary = scratch / f"{path.name}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def read_json(path: Path) -> Any | None:
    """The content of a JSON file, or None where it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return None


def sync_folder(folder: Path) -> None:
    """Makes renames within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Makes every file below `folder` durable."""
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(parent, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))
