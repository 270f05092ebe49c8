"""Child processes: every way to end is an answer or a clear error."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from dag_toys import Toy, crash, double

from fewview.recon.dag import RemoteError, Stage, run_isolated
from fewview.recon.dag.faults import memory_fault
from fewview.recon.errors import EnvironmentFault, FewviewError, ReconstructionError
from fewview.recon.progress import LogProgress
from fewview.recon.stage import import_path


def end(tmp_path: Path, how: str) -> None:
    run_isolated(crash, ({}, Toy(crash=how), tmp_path), log=tmp_path / "log", progress=LogProgress())


def test_value_and_progress(tmp_path: Path) -> None:
    progress = LogProgress()
    assert run_isolated(double, (21,), log=tmp_path / "log") == 42
    assert run_isolated("dag_toys:double", (21,), log=tmp_path / "log", progress=progress) == 42
    assert progress.facts == {"letters": 21}
    assert progress.fallbacks == [{"wanted": "fast", "used": "slow", "reason": "toy"}]


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("abort", ReconstructionError, "crashed in native code (SIGABRT). Its last lines are in {log}."),
        ("segv", ReconstructionError, "crashed in native code (SIGSEGV). Its last lines are in {log}."),
        ("exit", ReconstructionError, "ended with exit code 3 and no result. Its last lines are in {log}."),
    ],
)
def test_crashes(tmp_path: Path, how: str, kind: type[FewviewError], text: str) -> None:
    with pytest.raises(kind) as caught:
        end(tmp_path, how)
    assert str(caught.value) == "`dag_toys:crash` " + text.format(log=tmp_path / "log")
    if how != "exit":
        assert "dag_toys.py" in (tmp_path / "log").read_text()  # the Python stack of the crash


def test_killed_for_memory(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"was killed \(SIGKILL\).*: probably the system ran out of memory\."):
        end(tmp_path, "kill")


def test_temporary_files_go_with_the_child(tmp_path: Path) -> None:
    assert not Path(run_isolated("tempfile:mkdtemp", log=tmp_path / "log")).parent.exists()


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("bug", ValueError, "a bug"),
        ("memory", MemoryError, "too much"),
        ("odd", RemoteError, "OddError: odd"),
        ("sys.exit", RemoteError, "SystemExit: 4"),
        ("overlap", ReconstructionError, "The photos do not overlap. Take more."),
    ],
)
def test_exceptions_travel(tmp_path: Path, how: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        end(tmp_path, how)
    assert type(caught.value) is kind
    assert str(caught.value) == text
    assert "dag_toys.py" in str(caught.value.__cause__)  # the trace it had in the child


def test_failed_allocations_are_told_from_bugs() -> None:
    torch = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")
    for error in (MemoryError(), torch):
        assert str(memory_fault(error, "Stage `splat`")) == (
            "Stage `splat` ran out of memory. Close other programs, or ask for less."
        )
    assert memory_fault(ValueError("a bug"), "Stage `splat`") is None


def test_a_function_that_no_child_could_import_is_refused_when_declared() -> None:
    def nested(*args: Any) -> None: ...

    with pytest.raises(ValueError, match="must be importable"):
        Stage("stage", nested, isolated=True)
    assert import_path(double) == "dag_toys:double"


def test_a_broken_listener_ends_the_child(tmp_path: Path) -> None:
    class Broken(LogProgress):
        def step(self, done: int, total: int, what: str = "") -> None:
            raise RuntimeError("display gone")

    with pytest.raises(RuntimeError, match="display gone"):
        run_isolated(double, (1,), log=tmp_path / "log", progress=Broken())
    assert [thread for thread in threading.enumerate() if thread.name.startswith("fewview")] == []
