"""The contract of every reader: whatever the file holds, a usable value or an error that says what to do."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from hypothesis import strategies as st

from fewview.recon.errors import FewviewError
from tests.hostile.damage import damaged
from tests.hostile.readers import READERS

SECONDS = 60
"""For one small file, on a busy machine."""
MORE_MEMORY = 1 << 30
"""Bytes of address space that reading one small file may add."""


class Seeds:
    """The sound input of one reader, and a copy of it to damage."""

    def __init__(self, name: str, folder: Path) -> None:
        self.reader, self.sound, self.copy = READERS[name], folder / "sound", folder / "copy"
        self.sound.mkdir()
        self.reader.write(self.sound)
        self.files = sorted(path.relative_to(self.sound) for path in self.sound.rglob("*") if path.is_file())
        self.read(self.sound)

    def example(self, data: st.DataObject) -> Path:
        """Damages one file of the copy; returns it."""
        name = data.draw(st.sampled_from(self.files))
        content = data.draw(damaged(name.name, (self.sound / name).read_bytes()))
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.sound, self.copy)
        (self.copy / name).write_bytes(content)
        return self.copy / name

    def check(self) -> None:
        """Reads the copy: what comes back is usable, or the error names the remedy."""
        with contextlib.suppress(FewviewError), bounded():
            self.read(self.copy)

    def read(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of overflows in values that are refused afterwards
            self.reader.read(folder)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Raises TimeoutError or MemoryError within, where time or memory run out."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still at it after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE_MEMORY, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)
