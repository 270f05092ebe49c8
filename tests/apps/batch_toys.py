"""Toy scenes for the tests of the batch; a module of its own, because child processes import it.

`python -m batch_toys OUT NAMES...` runs a batch of them, for tests that kill it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fewview.apps.batches.course import run_batch
from fewview.apps.batches.history import History
from fewview.apps.batches.inputs import identity
from fewview.apps.batches.local import LocalEngine
from fewview.apps.batches.scheduler import Engine, Rules
from fewview.apps.batches.signals import terminated_as_interrupted
from fewview.apps.batches.task import Setting, Task
from fewview.recon.dag import Stage, run_stages
from fewview.recon.errors import FewviewError, InputError, KilledFault, MemoryFault, ReconstructionError
from fewview.recon.progress import Progress

PAUSE_S = 0.15
NAMES = tuple(f"scene-{number}" for number in range(8))
STAGES = ("first", "second", "third")


@dataclass(frozen=True)
class ToyConfig:
    """What a toy stage writes."""

    text: str


def write(inputs: Mapping[str, Path], config: ToyConfig, out: Path, progress: Progress) -> None:
    time.sleep(PAUSE_S)
    (out / "text.txt").write_text(config.text + "".join((path / "text.txt").read_text() for path in inputs.values()))


def scene(photos: Path, out: Path, how: str) -> None:
    """Three stages, unless `how` names a way to fail; what happens only once leaves a mark beside `out`."""
    if how in ("hang", "leak"):
        WAYS[how](out)
    once = out.with_name(f"{out.name}.once")
    if how.startswith("once ") and not once.exists():
        once.touch()
        how = how.removeprefix("once ")
    if how in ERRORS:
        raise ERRORS[how]
    if how in WAYS:
        WAYS[how](out)
    config = ToyConfig(photos.read_text() + ("" if how != "small" else "small"))
    stages = [
        Stage(name, write, needs=STAGES[max(0, i - 1) : i], config=config, sources=() if i else (photos,))
        for i, name in enumerate(STAGES)
    ]
    run_stages(stages, out, console=Console(file=sys.stderr))


def _hang(out: Path) -> None:
    time.sleep(60)


def _wait(out: Path) -> None:
    """Until the test says so."""
    while not out.with_name("go").exists():
        time.sleep(0.05)


def _leak(out: Path) -> None:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20)) * 10)
        time.sleep(0.02)


ERRORS: dict[str, Exception] = {
    "input": InputError("There are no photos.", "Name others."),
    "overlap": ReconstructionError("The photos do not overlap.", "Take more."),
    "bug": ValueError("a bug"),
    "memory": MemoryFault("Stage `depth` ran out of memory.", "Ask for less."),
    "stage killed": KilledFault("Stage `mesh` was killed: probably the system ran out of memory.", "See its log."),
    "allocation": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB"),
    "io": OSError(5, "Input/output error"),
}
WAYS: dict[str, Callable[[Path], object]] = {
    "hang": _hang,
    "leak": _leak,
    "wait": _wait,
    "kill": lambda out: os.kill(os.getpid(), signal.SIGKILL),
    "segv": lambda out: os.kill(os.getpid(), signal.SIGSEGV),
    "spam": lambda out: sys.stderr.write("x" * 3_000_000),
}


def task(folder: Path, out: Path, name: str, how: str = "", smaller: str = "small") -> Task:
    """A scene whose photo is the file `folder/name`, made if absent."""
    photo = folder / name
    if not photo.exists():
        photo.write_text(f"photo of {name}")
        os.utime(photo, (1e9, 1e9))
    return Task(
        name=name,
        call="batch_toys:scene",
        settings=(
            Setting("preset default", (photo, out / name, how)),
            Setting("preset fast", (photo, out / name, smaller)),
        ),
        recipe=hashlib.sha256(how.encode()).hexdigest(),
        inputs=identity([("first", [photo])]),
        sources=(("first", (photo,)),),
        disk_mib=0.1,
    )


def run(tasks: Sequence[Task], out: Path, jobs: int = 3, budget_mib: float = 1e6, **rules: object) -> History:
    """A batch on this machine, quietly."""

    @contextmanager
    def engine(left: Sequence[Task]) -> Iterator[Engine]:
        yield LocalEngine(jobs, 1, budget_mib)

    return run_batch(tasks, out, Rules(**rules), engine, Console(file=io.StringIO()))  # type: ignore[arg-type]


def digests(history: History) -> dict[str, str]:
    """Of the scenes that are done."""
    return {name: past.ended["digest"] for name, past in history.scenes.items() if past.ended}


@functools.cache
def undisturbed() -> dict[str, str]:
    """Digests of the scenes NAMES, by a batch that nothing disturbs. The tests' folders must be in PYTHONPATH."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return digests(run([task(folder, folder / "out", name) for name in NAMES], folder / "out", jobs=len(NAMES)))


def main(folder: Path, out: Path, names: Sequence[str]) -> int:
    try:
        with terminated_as_interrupted():
            history = run([task(folder, out, name) for name in names], out, jobs=2, retries=9)
    except FewviewError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return int(any(past.status != "done" for past in history.scenes.values()))


if __name__ == "__main__":
    # It is ignored where the tests run in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
