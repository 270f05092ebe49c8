"""One run per output folder; owners that are gone are told from those at work."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dag_toys import Toy, chain
from rich.console import Console

from fewview.recon.dag import lock as lock_module
from fewview.recon.dag import run_stages
from fewview.recon.dag.lock import FolderLock, machine, start_time
from fewview.recon.errors import EnvironmentFault


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / ".work").mkdir()
    return tmp_path


@contextmanager
def held_by_another_process(out: Path) -> Iterator[int]:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with FolderLock(out):
                os.write(told, b"1")
                time.sleep(60)
        finally:
            os._exit(0)
    os.read(ready, 1)
    try:
        yield pid
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


def claim(out: Path, age_s: float = 0.0, **owner: Any) -> None:
    """Leaves the lock file of another owner behind."""
    file = out / ".work" / "lock"
    file.write_text(json.dumps({**machine(), "pid": 1, "started": "0", "token": "other", **owner}))
    os.utime(file, (time.time() - age_s, time.time() - age_s))


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock_module, "SETTLE_S", 0.01)


def test_a_second_run_is_told_who_is_at_work(out: Path) -> None:
    with held_by_another_process(out) as pid, pytest.raises(EnvironmentFault) as caught:
        run_stages(chain(Toy()), out, console=Console(file=io.StringIO()))
    assert str(caught.value) == (
        f"`{out}` is in use by process {pid} on {machine()['host']}. "
        "Wait until it has ended, or choose another folder with --out."
    )


def test_a_killed_owner_is_replaced(out: Path) -> None:
    with held_by_another_process(out) as pid:
        pass
    text = io.StringIO()
    run_stages(chain(Toy()), out, console=Console(file=text, width=100))
    assert f"took over from process {pid} on {machine()['host']}, which is gone" in text.getvalue()
    assert (out / ".work" / "lock").read_text() == ""


def test_the_same_process_cannot_hold_it_twice(out: Path) -> None:
    with FolderLock(out), pytest.raises(EnvironmentFault, match="is in use by process"), FolderLock(out):
        pass
    with FolderLock(out) as again:
        assert again.notes == []


@pytest.mark.parametrize(("age_s", "taken"), [(0.0, True), (30.0, True), (300.0, False)])
def test_an_owner_on_another_machine_is_judged_by_its_heartbeat(out: Path, age_s: float, taken: bool) -> None:
    claim(out, age_s, host="elsewhere", boot="other", pid=os.getpid())
    if taken:
        with (
            pytest.raises(EnvironmentFault, match=rf"in use by process {os.getpid()} on elsewhere"),
            FolderLock(out),
        ):
            pass
    else:
        with FolderLock(out) as lock:
            assert lock.notes == [f"took over from process {os.getpid()} on elsewhere, which is gone"]


@pytest.mark.usefixtures("no_flock")
def test_without_file_locks_the_process_decides(out: Path) -> None:
    alive = {"pid": os.getppid(), "started": start_time(os.getppid())}
    claim(out, **alive)
    with pytest.raises(EnvironmentFault, match="in use by"), FolderLock(out):
        pass
    for gone in ({"started": "1"}, {"boot": "before the last boot"}, {"pid": 2**22 - 1}):
        claim(out, **{**alive, **gone})
        with FolderLock(out) as lock:
            assert len(lock.notes) == 2
            assert lock.notes[1] == "files cannot be locked on this file system: relying on heartbeats"


def test_a_lock_that_was_taken_is_noticed(out: Path) -> None:
    with FolderLock(out) as lock:
        lock.check()
        claim(out, host="elsewhere", pid=7)
        with pytest.raises(EnvironmentFault) as caught:
            lock.check()
    assert str(caught.value) == (
        f"The lock on `{out}` was taken by process 7 on elsewhere while this run was at work. "
        "Wait until that run has ended, then run again."
    )
    assert "elsewhere" in (out / ".work" / "lock").read_text()  # it is not ours to release


def test_it_beats(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.01)
    with FolderLock(out):
        file = out / ".work" / "lock"
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 5
        while file.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_heartbeat_outlives_a_file_system_that_stumbles(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.02)
    away = out / "away"
    with FolderLock(out):
        (out / ".work").rename(away)
        time.sleep(0.2)  # some heartbeats find nothing
        away.rename(out / ".work")
        os.utime(out / ".work" / "lock", (0, 0))
        deadline = time.monotonic() + 20
        while (out / ".work" / "lock").stat().st_mtime == 0:
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.02)
