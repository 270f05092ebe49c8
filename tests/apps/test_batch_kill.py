"""Killed at random and given again, a batch ends where an undisturbed one ends; the long trial is
tests/benchmarks/batch_chaos.py."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from batch_toys import NAMES, run, task, undisturbed

from fewview.apps.batches import journal

KILLS = 5


def start(photos: Path, out: Path, names: Sequence[str] = NAMES) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "batch_toys", photos, out, *names], stderr=subprocess.DEVNULL)


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def wait_for_events(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and len(journal.read(out)) < count:
        time.sleep(0.02)


def test_killed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    photos, out = tmp_path / "photos", tmp_path / "killed"
    photos.mkdir()
    chance = random.Random(1)
    process = start(photos, out)
    for number in range(KILLS):
        wait_for_events(out, len(journal.read(out)) + 3, process)
        time.sleep(chance.uniform(0, 0.5))
        scenes = children(process.pid)
        assert process.poll() is None
        if number % 2 and scenes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(scenes), signal.SIGKILL)
            continue
        process.kill()
        process.wait()
        for scene in scenes:  # they die with their parent
            deadline = time.monotonic() + 10
            while Path(f"/proc/{scene}").exists() and "Z" not in Path(f"/proc/{scene}/stat").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        process = start(photos, out)
    assert process.wait() == 0
    events = journal.read(out)
    done = Counter(event["scene"] for event in events if event["event"] == "done")
    assert done == dict.fromkeys(NAMES, 1)
    assert sum(event["event"] == "batch" for event in events) == 1 + (KILLS + 1) // 2
    assert {event["batch"] for event in events if event["event"] == "batch"} == {1}
    assert {event["scene"]: event["digest"] for event in events if event["event"] == "done"} == undisturbed()
    assert {name: json.loads((out / name / "manifest.json").read_text())["digest"] for name in NAMES} == undisturbed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    names = NAMES[:3]
    process = start(photos, out, names)
    wait_for_events(out, 3, process)
    process.send_signal(number)
    assert process.wait() == 130
    assert [event["event"] for event in journal.read(out)].count("stopped") == 2
    assert journal.read(out)[-1]["event"] == "stopped"
    history = run([task(photos, out, name) for name in names], out)
    assert {name: past.status for name, past in history.scenes.items()} == dict.fromkeys(names, "done")
