"""What a machine can do to a batch of real scenes: every trial ends as specified, or says what was wrong.

    python -m tests.benchmarks.batch_scenes SCENES
    python -m tests.benchmarks.batch_faults SCENES --out OUT [--only TRIAL ...]

OUT must be new. Small file systems are mounted in a namespace of its own, which vanishes with it: Linux with `unshare`
is needed. Where scenes come to their end, their digests are compared with those of an undisturbed batch."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fewview.apps.batches import journal
from tests.benchmarks.batch_chaos import account, descendants, stage_digests

SCENES = ("room-00", "room-01")
LIMIT_S = 600
"""No trial is still at it after this long."""
_INSIDE = "FEWVIEW_TRIAL"
LEAK = """
import os, sys, threading, time
def leak():
    kept = []
    while True:
        kept.append(os.urandom(1 << 20) * 32)
        time.sleep(0.1)
if sys.orig_argv[-1] == "room-01":
    threading.Thread(target=leak, daemon=True).start()
"""
BACKWARDS = """
import time
now = [time.time()]
def backwards():
    now[0] -= 60
    return now[0]
time.time = backwards
time.time_ns = lambda: int(backwards() * 1e9)
"""
"""Sources of a module that every Python process loads as it starts."""


@dataclass
class Trial:
    """One trial: its folder, and what was found wrong."""

    jobs: Path
    folder: Path
    expected: dict[str, dict[str, str]]
    """Digests of an undisturbed batch."""
    wrong: list[str] = field(default_factory=list)
    said: str = ""
    """Standard error of the last command that ended."""

    def start(self, out: Path, *words: str, module: str = "") -> subprocess.Popen[bytes]:
        """A batch; `module` is the source of what its processes load as they start."""
        (self.folder / "sitecustomize").mkdir(parents=True, exist_ok=True)
        (self.folder / "sitecustomize" / "sitecustomize.py").write_text(module)
        command = [
            sys.executable,
            "-m",
            "fewview.apps.cli",
            "batch",
            str(self.jobs),
            "--out",
            str(out),
            "--jobs",
            "2",
            *words,
        ]
        environment = os.environ | {"PYTHONPATH": str(self.folder / "sitecustomize")}
        with open(self.folder / "said.txt", "wb") as log:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment)

    def ends(self, process: subprocess.Popen[bytes], code: int, *texts: str) -> None:
        """The batch ends with this exit code and these words."""
        found = process.wait(LIMIT_S)
        self.said = " ".join((self.folder / "said.txt").read_text().split())
        self.check(found == code, f"exit code {found} instead of {code}")
        for text in texts:
            self.check(text in self.said, f"does not say: {text}")
        self.check("Traceback" not in self.said, "a trace")

    def check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)

    def is_whole(self, out: Path) -> None:
        """All scenes are done, none of them twice, with the digests of the undisturbed batch."""
        found = account(out)
        self.check(found["done"] == list(SCENES) and not found["lost"], f"not all are done: {found}")
        self.check(not found["twice"], f"done twice: {found['twice']}")
        digests = {name: stage_digests(out / name) for name in found["done"]}
        self.check(digests == self.expected, "other digests")

    def has(self, out: Path, scene: str, event: str, **facts: object) -> None:
        """The journal has such an event."""
        events = [each for each in journal.read(out) if (each.get("scene"), each["event"]) == (scene, event)]
        found = any(facts.items() <= each.items() for each in events)
        self.check(found, f"no event `{event}` of {scene} with {facts}: {events}")


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Until `holds`, while the process runs."""
    while process.poll() is None and not holds():
        time.sleep(0.02)


def events(out: Path, kind: str) -> list[str]:
    """Scenes of the events of a kind."""
    return [event["scene"] for event in journal.read(out) if event["event"] == kind]


def gone(pid: int) -> bool:
    """Whether a process ends within seconds."""
    deadline = time.monotonic() + 10
    while (alive := Path(f"/proc/{pid}").exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive


@contextmanager
def disk(place: Path, mib: int) -> Iterator[Path]:
    """A file system of that size."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(ballast: Path) -> None:
    """Writes until nothing is left of the disk."""
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def disk_that_is_too_small(trial: Trial) -> None:
    with disk(trial.folder / "disk", 4) as place:
        trial.ends(trial.start(place / "out"), 1, "the next scene takes about", "Make room there")
        trial.check(not events(place / "out", "started"), "a scene was started")


def disk_that_fills_up(trial: Trial) -> None:
    """Another program fills the disk while scenes are at work; when it has gone, the same command continues."""
    with disk(trial.folder / "disk", 200) as place:
        out = place / "out"
        batch = trial.start(out)
        wait_for(lambda: (out / SCENES[0] / "matches").is_dir(), batch)
        fill(place / "ballast")
        trial.ends(batch, 1)
        trial.check(
            "disk is full" in trial.said or "has 0 MiB left" in trial.said, "does not say that the disk is full"
        )
        (place / "ballast").unlink()
        trial.ends(trial.start(out), 0)
        trial.is_whole(out)


def read_only_output(trial: Trial) -> None:
    with disk(trial.folder / "disk", 4) as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        trial.ends(trial.start(place / "out"), 1, "cannot be written: the file system is read-only", "--out")
        trial.check(not any(place.iterdir()), "something was written")


def scene_that_hangs(trial: Trial) -> None:
    """The process of a stage is stopped for ever; the scene's time is up, the other scene is done."""
    out = trial.folder / "out"
    batch = trial.start(out, "--time-limit", "150s")
    stage: list[int] = []

    def at_work() -> bool:
        for pid in descendants(batch.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if (
                    b"fewview.recon.dag.child" in words
                    and SCENES[1].encode() in Path(f"/proc/{parent}/cmdline").read_bytes()
                ):
                    stage.append(pid)
        return bool(stage)

    wait_for(at_work, batch)
    os.kill(stage[0], signal.SIGSTOP)
    trial.ends(batch, 1, "It took longer than the time limit of 150 s.")
    trial.check(gone(stage[0]), "the process that hangs was left behind")
    trial.has(out, SCENES[0], "done")
    trial.has(out, SCENES[1], "failed", kind="timeout", attempt=1)
    trial.ends(trial.start(out, "--time-limit", "150s"), 0)
    trial.is_whole(out)


def scene_that_leaks(trial: Trial) -> None:
    """It is ended, tried with smaller settings, and given up; the other is done; a later command, mended, does it."""
    out = trial.folder / "out"
    trial.ends(trial.start(out, "--memory", "4", module=LEAK), 1, "of 4096 MiB that there were for all scenes")
    trial.has(out, SCENES[0], "done")
    trial.has(out, SCENES[1], "fallback", wanted="preset fast", used="preset fast, photos of 512 px")
    trial.has(out, SCENES[1], "failed", kind="memory", attempt=3)
    trial.ends(trial.start(out, "--memory", "4"), 0)
    trial.is_whole(out)


def clock_that_goes_backwards(trial: Trial) -> None:
    """By a minute whenever anybody looks, also over a kill and a new start."""
    out = trial.folder / "out"
    batch = trial.start(out, module=BACKWARDS)
    wait_for(lambda: bool(events(out, "done")), batch)
    batch.kill()
    batch.wait()
    trial.ends(trial.start(out, "--time-limit", "10m", module=BACKWARDS), 0)
    trial.is_whole(out)
    trial.check(all(event["elapsed_s"] >= 0 for event in journal.read(out)), "time ran backwards in the journal")


def three_batches_on_one_folder(trial: Trial) -> None:
    """Started at once: one works, the others are refused and change nothing."""
    out = trial.folder / "out"
    one = [Trial(trial.jobs, trial.folder / str(number), trial.expected) for number in range(3)]
    batches = [each.start(out) for each in one]
    codes = [batch.wait(LIMIT_S) for batch in batches]
    trial.check(sorted(codes) == [0, 1, 1], f"exit codes {codes}")
    for each, code in zip(one, codes, strict=True):
        each.said = (each.folder / "said.txt").read_text()
        trial.check((f"`{out}` is in use by process" in " ".join(each.said.split())) == (code == 1), each.said)
    trial.check(account(out)["commands"] == 1, "more than one worked")
    trial.is_whole(out)


TRIALS = (
    disk_that_is_too_small,
    disk_that_fills_up,
    read_only_output,
    scene_that_hangs,
    scene_that_leaks,
    clock_that_goes_backwards,
    three_batches_on_one_folder,
)


def prepare(scenes: Path, out: Path) -> Trial:
    """The jobs file of the two scenes, and their undisturbed batch."""
    jobs = [json.loads(line) for line in (scenes / "jobs.jsonl").read_text().splitlines()]
    chosen = [job | {"photos": str(scenes.absolute() / job["photos"])} for job in jobs if job["name"] in SCENES]
    (out / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in chosen))
    undisturbed = Trial(out / "jobs.jsonl", out / "undisturbed", {})
    undisturbed.ends(undisturbed.start(out / "undisturbed" / "out"), 0)
    if undisturbed.wrong:
        raise SystemExit(f"the undisturbed batch failed: {undisturbed.wrong} {undisturbed.said}")
    undisturbed.expected = {name: stage_digests(out / "undisturbed" / "out" / name) for name in SCENES}
    return undisturbed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=[trial.__name__ for trial in TRIALS], metavar="TRIAL")
    given = parser.parse_args(arguments)
    if _INSIDE not in os.environ:
        command = [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            sys.executable,
            "-m",
            "tests.benchmarks.batch_faults",
        ]
        return subprocess.run([*command, *arguments], check=False, env=os.environ | {_INSIDE: "1"}).returncode
    given.out.mkdir(parents=True)
    undisturbed = prepare(given.scenes, given.out)
    failed = 0
    for run in TRIALS:
        if given.only and run.__name__ not in given.only:
            continue
        trial = Trial(undisturbed.jobs, given.out / run.__name__, undisturbed.expected)
        began = time.monotonic()
        run(trial)
        failed += bool(trial.wrong)
        how = "; ".join(trial.wrong) or trial.said[-150:]
        print(
            f"{'FAILED' if trial.wrong else 'ok':<6} {run.__name__:<28} {time.monotonic() - began:6.1f} s  {how}",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
