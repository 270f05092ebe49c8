"""Where commands put what becomes whole only at its end, in a folder beside its place."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewview.recon.dag.lock import try_lock
from fewview.recon.errors import InUseFault


@contextmanager
def unfinished(place: Path, command: str, alone: bool) -> Iterator[Path]:
    """An empty folder in `place`, gone afterwards; those that killed ones of the same command left are removed.

    The kernel's lock on `place` tells these from ones at work; where the file system has no such lock, they stay.

    Args:
        place: an existing folder.
        command: whose work it is.
        alone: nobody else may be at work in `place`; one that need not be alone waits for one that must.

    Raises:
        InUseFault: another is at work in `place`, and this one must be alone.
    """
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        held = try_lock(lock)
        if alone and held is False:
            raise InUseFault(
                f"`{place}` is in use by another command.",
                "Wait until it has ended, or choose another place with --to.",
            )
        if held:
            for entry in place.iterdir():
                if is_unfinished(entry, command):
                    shutil.rmtree(entry, ignore_errors=True)  # it may be another user's
        if not alone and held is not None:
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits for one that must be alone
        with tempfile.TemporaryDirectory(prefix=_prefix(command), dir=place) as folder:
            yield Path(folder)
    finally:
        os.close(lock)


def is_unfinished(path: Path, command: str) -> bool:
    """Whether `path` is such a folder of `command`."""
    return path.name.startswith(_prefix(command))


def _prefix(command: str) -> str:
    return f".unfinished-{command}-"
