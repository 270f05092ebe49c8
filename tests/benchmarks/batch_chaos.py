"""Kills a batch at random, its own process or one of a scene, with SIGKILL, gives the same command again until it ends
by itself, and compares with an undisturbed one: nothing lost, nothing done twice, the same digests of all stages.

    python -m tests.benchmarks.batch_scenes SCENES
    python -m tests.benchmarks.batch_chaos --out OUT [--kills 20] [--every 2 8] [--seed 0] -- SCENES/jobs.jsonl --jobs 2

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

from fewview.apps.batches import journal
from fewview.apps.batches.history import fold
from fewview.apps.batches.summary import rows
from fewview.recon.dag.reading import verify


def start(words: list[str], out: Path) -> subprocess.Popen[bytes]:
    """A batch whose output is appended to `<out>.log`."""
    with open(out.with_name(f"{out.name}.log"), "ab") as log:
        command = [sys.executable, "-m", "fewview.apps.cli", "batch", *words, "--out", str(out)]
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
    """What became of both, by their journals, manifests and files."""
    accounts = {out.name: account(out) for out in (undisturbed, killed)}
    expected, found = accounts.values()
    digests = [{name: stage_digests(out / name) for name in expected["done"]} for out in (undisturbed, killed)]
    return {
        **{name: {**figures, "done": len(figures["done"])} for name, figures in accounts.items()},
        "same_scenes": expected["done"] == found["done"],
        "same_failures": expected["failed"] == found["failed"],
        "same_digests": digests[0] == digests[1],
        "stages": dict(Counter(stage for stages in digests[0].values() for stage in stages)),
    }


def account(out: Path) -> dict[str, Any]:
    """What the journal of a batch says."""
    events = journal.read(out)
    ends = Counter((event["event"], event["scene"]) for event in events if event["event"] in ("done", "failed"))
    found = rows(fold(events))
    return {
        "done": sorted(row.name for row in found if row.status == "done"),
        "failed": {row.name: row.message for row in found if row.status == "failed"},
        "lost": [row.name for row in found if row.status not in ("done", "failed")],
        "twice": sorted(f"{scene} {how}" for (how, scene), number in ends.items() if number > 1),
        "started": sum(event["event"] == "started" for event in events),
        "commands": sum(event["event"] == "batch" for event in events),
        "retries": dict(Counter(event["kind"] for event in events if event["event"] == "retry")),
    }


def stage_digests(folder: Path) -> dict[str, str]:
    """The digest of every stage of a scene, whose files are found to be as recorded.

    Raises:
        InputError: they are not.
    """
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    for name in stages:
        verify(folder, name)
    return {name: entry["digest"] for name, entry in stages.items()}


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
    accounts = [figures[out.name] for out in (undisturbed, killed)]
    same = expected == code and figures["same_scenes"] and figures["same_failures"] and figures["same_digests"]
    return int(not same or any(one["lost"] or one["twice"] for one in accounts))


if __name__ == "__main__":
    sys.exit(main())
