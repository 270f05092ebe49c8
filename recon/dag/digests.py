"""SHA-256 of files and folders, remembered where that is safe."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from fewview.recon.dag.files import read_json, write_json
from fewview.recon.errors import InputError

RECORD = ".stage.json"
"""The record inside an artifact folder; it holds timings, so it is no part of the artifact's digest."""

_IGNORED = frozenset({RECORD, ".DS_Store", "Thumbs.db", "desktop.ini"})  # file browsers leave the latter three
_RACY_NS = 2_000_000_000
_NO_FILE: dict[str, str | int] = {"sha256": "not a regular file", "bytes": 0}


class FileHashes:
    """Hashes of files, remembered by path, size, times and inode.

    A file that changed less than two seconds before it was hashed is not remembered: on file systems with
    coarse times a second change could leave all of them as they are.
    """

    def __init__(self, memory: Path, root: Path) -> None:
        """`memory` keeps the hashes between runs (damage costs only time); `root` is the output folder."""
        self._memory, self._root = memory, root
        stored = read_json(memory)
        self._known: dict[str, list[object]] = stored if isinstance(stored, dict) else {}
        self._used: dict[str, list[object]] = {}

    def file(self, path: Path) -> str:
        """SHA-256 of the content of a file.

        Raises:
            InputError: it is a pipe or a device, which may never end.
            OSError: it cannot be read.
        """
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise InputError(f"`{path}` is not a regular file.", "Move it away.")
        name = os.path.relpath(path, self._root)
        identity: list[object] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]
        entry = self._known.get(name)
        if isinstance(entry, list) and entry[:-1] == identity:
            self._used[name] = entry
            return str(entry[-1])
        started = time.time_ns()
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if started - max(stat.st_mtime_ns, stat.st_ctime_ns) > _RACY_NS:
            self._known[name] = self._used[name] = [*identity, digest]
        return digest

    def folder(self, folder: Path, without: Path | None = None) -> dict[str, dict[str, str | int]]:
        """`{relative posix path: {"sha256", "bytes"}}` of every file below `folder`, sorted by path. Pipes, devices and
        links to nothing are named, and not read.

        Args:
            without: a folder to leave out (an output folder inside the photo folder).
        """
        found: dict[str, dict[str, str | int]] = {}
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if without is None or Path(parent, name).resolve() != without]
            for name in names:
                if name not in _IGNORED:
                    path = Path(parent, name)
                    found[path.relative_to(folder).as_posix()] = (
                        {"sha256": self.file(path), "bytes": path.stat().st_size} if path.is_file() else _NO_FILE
                    )
        return dict(sorted(found.items()))

    def source(self, source: Path) -> dict[str, dict[str, str | int]]:
        """The same for a file or folder of the user's.

        Raises:
            InputError: it is absent, cannot be read, or is the output folder itself.
        """
        if source.resolve() == self._root.resolve():
            raise InputError(f"`{source}` is the output folder as well.", "Choose another folder with --out.")
        try:
            if source.is_dir():
                return self.folder(source, without=self._root.resolve())
            return {source.name: {"sha256": self.file(source), "bytes": source.stat().st_size}}
        except FileNotFoundError as error:
            raise InputError(f"`{error.filename}` does not exist.", "Check the path.") from error
        except PermissionError as error:
            raise InputError(f"`{error.filename}` cannot be read.", "Check its permissions.") from error

    def save(self) -> None:
        """Keeps what this run used for the next one."""
        if self._used != read_json(self._memory):
            write_json(self._memory, self._used, self._memory.parent)


def digest_of(files: Mapping[str, Mapping[str, str | int]]) -> str:
    """SHA-256 over names and contents: the digest of an artifact."""
    hasher = hashlib.sha256()
    for name in sorted(files):
        # The name's length goes first, so that no two lists of files give the same bytes.
        encoded = name.encode("utf-8", "surrogateescape")
        hasher.update(f"{len(encoded)}:".encode() + encoded + str(files[name]["sha256"]).encode())
    return hasher.hexdigest()
