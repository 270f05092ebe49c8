"""Processes of the program's own end with all that they started, whoever ends them."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from dag_toys import leave_another, refuse

from fewview.recon.dag import process
from fewview.recon.dag.process import OwnProcess


def _gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("session", [False, True], ids=["group", "session"])
def test_what_it_left_at_work_goes_with_it(tmp_path: Path, session: bool) -> None:
    """In its group; and with a session, in whatever group."""
    with open(tmp_path / "log", "wb") as log:
        child = OwnProcess(leave_another, "another group" if session else "", log=log, folder=tmp_path, session=session)
    child.wait()
    left = int((tmp_path / "left").read_text())
    assert not _gone(left)
    assert child.end() == 7
    deadline = time.monotonic() + 20
    while not _gone(left):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_does_not_listen_is_killed_by_all_who_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM):
        monkeypatch.setitem(process._PATIENCE_S, sign, 0.1)
    with open(tmp_path / "log", "wb") as log:
        child = OwnProcess(refuse, log=log, folder=tmp_path)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    codes: list[int] = []

    def waiting() -> None:
        child.wait()
        codes.append(child.end())

    def asking() -> None:
        codes.append(child.end(signal.SIGINT, signal.SIGTERM))

    threads = [threading.Thread(target=way) for way in (waiting, asking, asking)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert codes == [-signal.SIGKILL] * 3
    assert not child.running


def test_what_cannot_be_sent_starts_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log, pytest.raises((AttributeError, TypeError), match="pickle"):
        OwnProcess(refuse, log=log, folder=tmp_path, request=threading.Lock())
    time.sleep(0.2)
    assert not (tmp_path / "ready").exists()
