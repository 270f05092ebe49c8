"""Batches of toy scenes: every way to end, what is tried again, and what a second command does."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from batch_toys import NAMES, run, task, undisturbed
from rich.console import Console

from fewview.apps.batches import journal
from fewview.apps.batches.display import Display
from fewview.apps.batches.history import History
from fewview.apps.batches.summary import rows
from fewview.recon.dag.lock import FolderLock
from fewview.recon.errors import EnvironmentFault, InUseFault


@pytest.fixture(autouse=True)
def toys_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def events(out: Path, *kinds: str) -> list[dict[str, Any]]:
    return [event for event in journal.read(out) if event["event"] in kinds]


class Expected(NamedTuple):
    status: str
    kind: str | None
    attempts: int
    text: str = ""


WAYS = {
    "": Expected("done", None, 1),
    "input": Expected("failed", "input", 1, "There are no photos."),
    "overlap": Expected("failed", "reconstruction", 1, "do not overlap"),
    "bug": Expected("failed", "bug", 1, "ValueError: a bug"),
    "segv": Expected("failed", "bug", 1, "crashed in native code (SIGSEGV)"),
    "kill": Expected("failed", "killed", 3, "killed from outside (SIGKILL)"),
    "once kill": Expected("done", None, 2),
    "once io": Expected("done", None, 2),
    "memory": Expected("done", None, 2),
    "allocation": Expected("done", None, 2),
    "once stage killed": Expected("done", None, 2),
    "spam": Expected("done", None, 1),
}


def test_every_way_to_end(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    names = {how: how.replace(" ", "-") or "good" for how in WAYS}
    history = run([task(photos, out, names[how], how) for how in WAYS], out, jobs=6)
    found = {row.name: row for row in rows(history)}
    for how, expected in WAYS.items():
        row = found[names[how]]
        assert (row.status, row.kind, row.attempts) == expected[:3], row
        assert expected.text in (row.message or "")
    smaller = {row.name: row.setting for row in found.values() if row.instead_of == "preset default"}
    assert smaller == {"memory": "preset fast", "allocation": "preset fast"}
    announced = next(event for event in events(out, "fallback") if event["scene"] == "memory")
    assert (announced["wanted"], announced["used"]) == ("preset default", "preset fast")
    assert "ran out of memory" in announced["reason"]
    assert Counter(event["scene"] for event in events(out, "done", "failed")) == dict.fromkeys(found, 1)
    logs = [out / "logs" / "spam.log", out / "logs" / "spam.log.1"]
    assert all(path.stat().st_size <= 1 << 20 for path in logs)
    shown = (out / "index.html").read_text()
    assert 'href="good/manifest.json"' in shown
    assert "preset fast instead of preset default" in shown
    assert shown.index("do not overlap") < shown.index(">good<")  # what failed comes first


def test_a_process_that_does_not_start(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, faults = subprocess.Popen, [errno.ENOMEM, errno.EMFILE]

    def popen(*words: Any, **options: Any) -> Any:
        if faults:
            raise OSError(faults[0], os.strerror(faults.pop(0)))
        return start(*words, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    history = run([task(photos, tmp_path / "out", name) for name in ("a", "b")], tmp_path / "out")
    assert [row.status for row in rows(history)] == ["done", "done"]
    assert [event["message"] for event in events(tmp_path / "out", "retry")] == [
        "Its process could not be started: [Errno 12] Cannot allocate memory.",
        "Its process could not be started: [Errno 24] Too many open files.",
    ]


def test_a_scene_that_hangs(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    for attempts in (1, 2):  # not tried again by itself, but by the next command, which may give more time
        [row] = rows(run([task(photos, out, "hang", "hang")], out, time_limit_s=1.0))
        assert (row.status, row.kind, row.attempts) == ("failed", "timeout", 1)
        assert row.message == "It took longer than the time limit of 1 s."
        assert len(events(out, "started")) == attempts


def test_a_leak_is_ended_before_the_machine_suffers(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    tasks = [task(photos, out, "leak", "leak"), task(photos, out, "good")]
    found = {row.name: row for row in rows(run(tasks, out, budget_mib=400.0))}
    assert found["good"].status == "done"
    assert found["leak"].instead_of == "preset default"
    assert "of 400 MiB that there were for all scenes" in events(out, "retry")[0]["message"]
    assert events(out, "retry")[0]["kind"] == "memory"


def test_the_same_command_again(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    ways = {"a": "", "b": "", "c": "", "bad": "overlap", "slow": "bug"}

    def again() -> list[tuple[str, str]]:
        before = len(journal.read(out))
        run([task(photos, out, name, how) for name, how in ways.items()], out)
        return [
            (event["scene"], event["reason"]) for event in journal.read(out)[before:] if event["event"] == "started"
        ]

    assert {name for name, _ in again()} == set(ways)
    digests = {row["scene"]: row["digest"] for row in events(out, "done")}
    # What failed for lasting reasons is left alone; a bug may have been mended.
    assert again() == [("slow", "failed before")]
    # Touched, copied: contents decide, once.
    os.utime(photos / "a")
    shutil.copy(photos / "b", photos / "copy")
    (photos / "copy").replace(photos / "b")
    assert again() == [("slow", "failed before")]
    assert [event["scene"] for event in events(out, "unchanged")] == ["a", "b"]
    again()
    assert len(events(out, "unchanged")) == 2
    # Other contents, other options, lost results.
    (photos / "a").write_text("another photo")
    (photos / "bad").write_text("another photo")
    ways["b"] = "small"
    shutil.rmtree(out / "c")
    assert again() == [
        ("a", "its photos changed"),
        ("b", "its options, or what the program does with them, changed"),
        ("c", "its results are not what they were"),
        ("bad", "failed with other photos or options"),
        ("slow", "failed before"),
    ]
    changed = {row["scene"]: row["digest"] for row in events(out, "done")}
    assert changed["c"] == digests["c"]
    assert changed["a"] != digests["a"]


def test_fail_fast(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    tasks = [task(photos, out, "bad", "overlap"), task(photos, out, "slow", "hang"), task(photos, out, "next")]
    history = run(tasks, out, jobs=2, fail_fast=True)
    assert [row.status for row in rows(history)] == ["failed", "waiting", "waiting"]
    assert [event["scene"] for event in events(out, "stopped")] == ["slow"]


def test_two_batches_on_one_folder(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    (out / ".work").mkdir(parents=True)
    with FolderLock(out), pytest.raises(InUseFault) as caught:
        run([task(photos, out, "a")], out)
    assert str(caught.value) == (
        f"`{out}` is in use by process {os.getpid()} on {os.uname().nodename}. "
        "Wait until it has ended, or choose another folder with --out."
    )
    assert not (out / "a").exists()


def test_a_full_disk_stops_before_it_is_full(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    usage = shutil.disk_usage(tmp_path)
    tasks = [task(photos, out, "a")]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
        with pytest.raises(EnvironmentFault, match="has 0 MiB left; the next scene takes about 50 MiB") as caught:
            run([replace(tasks[0], disk_mib=50.0)], out)
        assert "give the same command again" in caught.value.remedy
    assert [row.status for row in rows(run(tasks, out))] == ["done"]


def test_a_disk_that_fills_up(tmp_path: Path, photos: Path) -> None:
    """Another program fills it while scenes are at work; when there is room again, the same command completes them."""
    out, names = tmp_path / "disk", NAMES[:4]
    out.mkdir()
    for name in names:
        task(photos, out, name)
    batch = f"{sys.executable} -m batch_toys {photos} {out} {' '.join(names)}"
    script = f"""
        mount -t tmpfs -o size=2m tmpfs {out} || exit 9
        {batch} &
        until [ -d {out}/{names[0]}/first ]; do sleep 0.02; done
        head -c 4m /dev/zero > {out}/ballast
        wait $!; echo $?
        rm {out}/ballast
        {batch}; echo $?
        cp {out}/{journal.NAME} {tmp_path}"""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    if shutil.which("unshare") is None or (result := _output(command)).returncode == 9:
        pytest.skip("mounting a file system needs namespaces of Linux")
    assert result.stdout == "1\n0\n", result.stderr
    assert "the disk is full" in result.stderr or "has 0 MiB left" in result.stderr
    done = sorted((event["scene"], event["digest"]) for event in events(tmp_path, "done"))
    assert done == sorted((name, undisturbed()[name]) for name in names)


def _output(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_scenes_at_work_are_left_their_room(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=150 << 20))
    tasks = [replace(task(photos, out, name), disk_mib=100.0) for name in "ab"]
    assert [row.status for row in rows(run(tasks, out, jobs=2))] == ["done", "done"]
    assert [event["event"] for event in events(out, "started", "done")] == ["started", "done"] * 2


def test_the_live_table_fits_the_terminal(tmp_path: Path) -> None:
    said, history = io.StringIO(), History()
    console = Console(file=said, force_terminal=True, width=80, height=25, legacy_windows=False, _environ={})
    name = "living room, second floor, north side, as on the first of May (again)"
    stages = {"photos": {"status": "ok"}, "matches": {"status": "running"}}
    (tmp_path / name / ".work").mkdir(parents=True)
    (tmp_path / name / "manifest.json").write_text(json.dumps({"stages": stages}))
    (tmp_path / name / ".work" / "progress.json").write_text('{"stage": "matches", "done": 1, "total": 3}')
    history.take({"event": "batch", "batch": 1, "scenes": [name, "other"]})
    started = {"event": "started", "scene": name, "attempt": 1, "reason": "new"}
    history.take(started)
    with Display(console, history, tmp_path, lambda: {name: 1234.0}) as display:
        display.event(started)
        display.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.getvalue()).splitlines()
    assert all(len(line.rstrip()) <= 80 for line in shown)
    assert f"{name}  started: new" in " ".join(line.strip() for line in shown)
    assert any("0 done, 0 failed, 1 running, 1 waiting" in line for line in shown)
    [row] = [line for line in shown if "1234 MiB" in line]
    assert row.startswith(" living room, second floor")
    assert "… " in row
    assert "matches (2 of 2), 33 %" in row


def test_a_clock_that_goes_backwards(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = tmp_path / "out", [2e9]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    monkeypatch.setattr(time, "time_ns", lambda: int(backwards() * 1e9))
    tasks = [task(photos, out, name) for name in "ab"]
    run(tasks, out, time_limit_s=30.0)
    assert [row.status for row in rows(run(tasks, out))] == ["done", "done"]
    assert len(events(out, "started")) == 2
    assert all(event["elapsed_s"] >= 0 for event in journal.read(out))


def test_a_torn_line_is_no_event(tmp_path: Path) -> None:
    with journal.Journal(tmp_path) as lines:
        lines.write("started", scene="a", attempt=1)
        lines.write("done", scene="a", attempt=1)
    whole = (tmp_path / journal.NAME).read_bytes()
    for length in range(len(whole) + 1):
        (tmp_path / journal.NAME).write_bytes(whole[:length])
        with journal.Journal(tmp_path) as lines:
            lines.write("end")
        found = [event["event"] for event in journal.read(tmp_path)]
        complete = whole[:length].count(b"\n") + (length in (whole.index(b"\n"), len(whole) - 1))
        assert found == [*["started", "done"][:complete], "end"]
