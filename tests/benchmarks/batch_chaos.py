"""Kills a batch at random, its own process or one of a scene, with SIGKILL, gives the same command again until it ends
by itself, and compares with an undisturbed one: nothing lost, nothing done twice, the same digests.

    python -m tests.benchmarks.batch_scenes SCENES
    python -m tests.benchmarks.batch_chaos --out OUT [--kills 20] [--every 2 8] [--seed 0] -- SCENES --jobs 2 ...

What follows `--` are arguments of `fewview batch`, without --out. OUT gets `undisturbed`, `killed` and their logs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from apps.batches import journal


def start(words: list[str], out: Path) -> subprocess.Popen[bytes]:
    """A batch whose output is appended to `<out>.log`."""
    with open(out.with_name(f"{out.name}.log"), "ab") as log:
        command = [sys.executable, "-m", "apps.cli", "batch", *words, "--out", str(out)]
        return subprocess.Popen(command, stdout=log, stderr=log)


def descendants(pid: int) -> list[int]:
    """The scenes' processes and those of their stages."""
    found, left = list[int](), [pid]
    while left:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{left.pop()}/task").iterdir():
                left += map(int, (thread / "children").read_text().split())
        found = [*found, *left]
    return sorted(set(found))


def killed_often(words: list[str], out: Path, kills: int, every: tuple[float, float], seed: int) -> tuple[int, Counter]:
    """Runs a batch to its end through so many kills; its exit code and what was killed."""
    chance, said = random.Random(seed), Counter[str]()
    process = start(words, out)
    while said.total() < kills:
        time.sleep(chance.uniform(*every))
        if process.poll() is not None:  # it came to its end before all kills
            break
        children = descendants(process.pid)
        victim = process.pid if chance.random() < 0.5 or not children else chance.choice(children)
        with contextlib.suppress(ProcessLookupError):  # a stage that ended meanwhile
            os.kill(victim, signal.SIGKILL)
            said["batch" if victim == process.pid else "scene or stage"] += 1
        if victim == process.pid:
            process.wait()
            process = start(words, out)
    return process.wait(), said


def compare(undisturbed: Path, killed: Path) -> dict[str, Any]:
    """What became of both, by their journals and manifests."""
    figures: dict[str, Any] = {}
    digests: list[dict[str, str]] = []
    failures: list[dict[str, str]] = []
    for out in (undisturbed, killed):
        events = journal.read(out)
        done = Counter(event["scene"] for event in events if event["event"] == "done")
        failed = Counter(event["scene"] for event in events if event["event"] == "failed")
        digests.append({name: json.loads((out / name / "manifest.json").read_text())["digest"] for name in done})
        failures.append({event["scene"]: event["message"] for event in events if event["event"] == "failed"})
        figures[out.name] = {
            "done": len(done),
            "done_twice": sum(number > 1 for number in done.values()),
            "failed": len(failed),
            "failed_twice": sum(number > 1 for number in failed.values()),
            "started": sum(event["event"] == "started" for event in events),
            "commands": sum(event["event"] == "batch" for event in events),
            "retries": dict(Counter(event["kind"] for event in events if event["event"] == "retry")),
        }
    figures["same_digests"] = digests[0] == digests[1]
    figures["same_failures"] = failures[0] == failures[1]
    figures["failures"] = failures[0]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, nargs=2, default=(2.0, 8.0), metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="+")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    undisturbed, killed = given.out / "undisturbed", given.out / "killed"
    code, said = killed_often(given.words, killed, given.kills, tuple(given.every), given.seed)
    expected = start(given.words, undisturbed).wait()
    figures = {"exit_codes": [expected, code], "kills": dict(said), **compare(undisturbed, killed)}
    print(json.dumps(figures, indent=1))
    twice = sum(figures[out.name][key] for out in (undisturbed, killed) for key in ("done_twice", "failed_twice"))
    return int(expected != code or twice > 0 or not figures["same_digests"] or not figures["same_failures"])


if __name__ == "__main__":
    sys.exit(main())
