"""The folders of the visitors' runs. A run's name is its key: 128 random bits that only its visitor was told."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("fewview")

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
SERVED = ".served"
"""Where gradio keeps uploads and copies of what it shows: the one folder that it serves from."""


@dataclass(frozen=True)
class Run:
    """One visitor's photos, and what became of them."""

    id: str
    folder: Path

    @property
    def photos(self) -> Path:
        """What was uploaded."""
        return self.folder / "photos"

    @property
    def out(self) -> Path:
        """What `fewview run` writes."""
        return self.folder / "out"

    @property
    def scratch(self) -> Path:
        """Temporary files of its processes while they are at work."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """What the child process said."""
        return self.folder / "log.txt"


class Store:
    """All runs, below one folder that only its owner can read."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.served.mkdir(exist_ok=True)

    @property
    def served(self) -> Path:
        return self.root / SERVED

    @property
    def secret(self) -> str:
        """What the names of runs are encrypted with in the browsers that were told them; it outlives the server."""
        path = self.root / ".secret"
        if not path.exists():
            path.write_text(secrets.token_hex(16), encoding="ascii")
        return path.read_text(encoding="ascii")

    def new(self) -> Run:
        """An empty folder of a new run."""
        run = self._run(secrets.token_urlsafe(16))
        run.photos.mkdir(parents=True)
        return run

    def find(self, id: str | None) -> Run | None:
        """The run of that name, which may be anything that a browser sent."""
        if not isinstance(id, str) or not _ID.fullmatch(id):
            return None
        run = self._run(id)
        return run if run.photos.is_dir() else None

    def sweep(self, before: float, busy: Callable[[], Collection[str]]) -> list[str]:
        """Deletes runs and served files that were not touched since `before` (a POSIX time).

        Others write and delete here at the same time. What cannot be looked at or deleted is told and left for the
        next time; the rest is deleted.

        Args:
            busy: tells the names of runs that wait or are at work; asked each time before something is deleted.

        Returns:
            Names of what was deleted.
        """
        gone = []
        for path in (*_entries(self.root), *_entries(self.served)):
            if not (_ID.fullmatch(path.name) or path.parent == self.served):
                continue
            try:
                if _touched(path) < before and path.name not in busy():
                    _delete(path)
                    gone.append(path.name)
            except FileNotFoundError:  # somebody else deleted it
                continue
            except OSError as error:
                log.warning("%s is old and could not be deleted: %s", path, error)
        return sorted(gone)

    def _run(self, id: str) -> Run:
        return Run(id, self.root / id)


def within(folder: Path, name: str) -> Path | None:
    """The file or folder `name` below `folder`, or None where it is absent or a link that leads out of it."""
    path = (folder / name).resolve()
    return path if path.exists() and path.is_relative_to(folder.resolve()) else None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        log.warning("%s could not be looked through for what is old: %s", folder, error)
        return []


def _touched(path: Path) -> float:
    """When something directly or one level below was last written.

    Raises:
        FileNotFoundError: it is gone.
    """
    times = [os.stat(path, follow_symlinks=False).st_mtime]
    for entry in path.iterdir() if path.is_dir() and not path.is_symlink() else ():
        with contextlib.suppress(FileNotFoundError):  # deleted between the listing and the look
            times.append(os.stat(entry, follow_symlinks=False).st_mtime)
    return max(times)


def _delete(path: Path) -> None:
    """Deletes a file or a folder, and of a folder as much as can be: what stays would make it young again.

    Raises:
        OSError: something stays; the first reason.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    faults: list[OSError] = []

    def told(function: Callable[..., object], name: str, info: tuple[object, BaseException, object]) -> None:
        if isinstance(info[1], OSError) and not isinstance(info[1], FileNotFoundError):
            faults.append(info[1])

    shutil.rmtree(path, onerror=told)
    if faults:
        raise faults[0]
