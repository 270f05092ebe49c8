"""Killed at any instant and run again, the runner ends where an undisturbed run ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dag_toys import Letters, Toy, chain, crash, tree, write
from rich.console import Console

from fewview.recon.dag import Manifest, Stage, run_stages

DISK_EVENTS = frozenset({"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "shutil.rmtree"})


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it wrote, synced or not, and syncing so often takes minutes."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def quiet(out: Path, toy: Toy, stages: int = 4, **options: object) -> Manifest:
    return run_stages(chain(toy)[:stages], out, console=Console(file=io.StringIO()), **options)  # type: ignore[arg-type]


def run_killed_before(event: int, out: Path, toy: Toy, **options: int | str) -> bool:
    """Runs in a fork that is killed just before its n-th operation on `out`; False where it ended before."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(name: str, args: tuple[object, ...]) -> None:
            nonlocal seen
            if name in DISK_EVENTS and isinstance(args[0], str | os.PathLike) and str(out) in str(args[0]):
                if seen == event:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        sys.addaudithook(hook)
        status = 1
        try:
            quiet(out, toy, **options)
            status = 0
        finally:
            os._exit(status)
    _, code = os.waitpid(pid, 0)
    assert code in (0, signal.SIGKILL)
    return code == signal.SIGKILL


def check_resumed(out: Path, manifest: Manifest, undisturbed: Manifest) -> None:
    assert manifest.state == "complete"
    assert manifest.digest == undisturbed.digest
    assert tree(out) == tree(undisturbed.out)
    assert {path.name for path in (out / ".work").iterdir()} <= {"lock", "hashes.json", "progress.json"}
    assert json.loads((out / "manifest.json").read_text())["digest"] == undisturbed.digest


@pytest.mark.parametrize("redo", [False, True], ids=["first-run", "redo"])
def test_killed_before_every_disk_operation(tmp_path: Path, redo: bool) -> None:
    undisturbed = quiet(tmp_path / "undisturbed", Toy("new"), 2)
    quiet(tmp_path / "old", Toy("old"), 2)
    out, calls = tmp_path / "out", tmp_path / "calls"
    event = 0
    while True:
        shutil.rmtree(out, ignore_errors=True)
        if redo:
            shutil.copytree(tmp_path / "old", out)
        calls.write_text("")
        if not run_killed_before(event, out, Toy("new", calls=calls), stages=2):
            break
        check_resumed(out, quiet(out, Toy("new", calls=calls), 2), undisturbed)
        called = calls.read_text().split()
        assert len(called) <= 3, f"event {event}: {called}"  # only the stage that was interrupted ran twice
        event += 1
    assert event > 40  # the hook did see the run


def test_killed_in_a_forced_redo_the_same_command_continues(tmp_path: Path) -> None:
    out, calls = tmp_path / "out", tmp_path / "calls"
    quiet(out, Toy())
    kills = 0
    for event in range(0, 1000, 13):
        calls.write_text("")
        if not run_killed_before(event, out, Toy(calls=calls), start="first"):
            break
        if json.loads((out / "manifest.json").read_text())["state"] == "complete" and event:
            break  # it had done all that was asked: given again, the command would rightly redo everything
        kills += 1
        manifest = quiet(out, Toy(calls=calls), start="first")
        assert manifest.pending == []
        called = calls.read_text().split()
        assert set(called) == {"first", "second", "third", "side"}
        # A kill between an artifact's rename and the manifest that says so costs one more run of that stage.
        assert len(called) <= 5, called
    assert kills > 5


def test_a_redo_killed_between_the_two_renames_is_adopted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    quiet(out, Toy("new"))
    new = shutil.copytree(out / "first", tmp_path / "new")
    quiet(out, Toy("old"))
    (out / "first").rename(out / ".work" / "first-77.old")
    shutil.copytree(new, out / ".work" / "first-77")
    calls = tmp_path / "calls"
    manifest = quiet(out, Toy("new", calls=calls))
    assert manifest.stages["first"].status == "cached"
    assert calls.read_text().split() == ["second", "third", "side"]


def test_an_incomplete_redo_leaves_the_old_artifact(tmp_path: Path) -> None:
    out = tmp_path / "out"
    quiet(out, Toy())
    (out / "first").rename(out / ".work" / "first-77.old")
    (out / ".work" / "first-77").mkdir()
    manifest = quiet(out, Toy())
    assert manifest.stages["first"].status == "cached"
    assert not (out / ".work" / "first-77").exists()


SCRIPT = """
import sys
from pathlib import Path
from dag_toys import Letters, Stage, Toy, crash, write
from fewview.recon.dag import run_stages
slow = Stage("slow", crash, ("first",), Toy(crash=sys.argv[2]), isolated=True)
run_stages([Stage("first", write, facts=Letters, config=Toy()), slow], Path(sys.argv[1]))
"""


def test_a_child_dies_with_its_killed_parent_and_the_run_resumes(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # From standard input, as a user might: multiprocessing's own "spawn" could not do this.
    command = [sys.executable, "-", str(tmp_path / "out"), "sleep"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    assert process.stdin is not None
    process.stdin.write(SCRIPT.encode())
    process.stdin.close()
    deadline = time.monotonic() + 20
    while not list((tmp_path / "out" / ".work").glob("slow-*/partial.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.wait()
    while Path(f"/proc/{children[0]}").exists() and "Z" not in Path(f"/proc/{children[0]}/stat").read_text():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (stored["state"], stored["stages"]["slow"]["status"]) == ("running", "running")
    stages = [
        Stage("first", write, facts=Letters, config=Toy()),
        Stage("slow", crash, ("first",), Toy(crash=""), isolated=True),
    ]
    manifest = run_stages(stages, tmp_path / "out", console=Console(file=io.StringIO()))
    assert (manifest.stages["first"].status, manifest.stages["slow"].status) == ("cached", "ok")
    assert {path.name for path in (tmp_path / "out" / ".work").iterdir()} == {"lock", "hashes.json", "progress.json"}


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_attempts_count_kills(tmp_path: Path, state: str) -> None:
    out = tmp_path / "out"
    quiet(out, Toy())
    stored = json.loads((out / "manifest.json").read_text())
    stored["state"], stored["stages"]["side"]["status"] = state, "running"
    (out / "manifest.json").write_text(json.dumps(stored))
    shutil.rmtree(out / "side")
    manifest = quiet(out, Toy())
    assert (manifest.stages["side"].attempts, manifest.stages["first"].attempts) == (2, 1)
