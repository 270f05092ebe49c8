"""Damages the input of every reader, each for some minutes in a process of its own, and lists what broke the contract.

    python -m tests.benchmarks.fuzz --minutes 10 [--seed N] [--keep FOLDER] [READER ...]

A reader breaks it by an exception that is no FewviewError, a crash, more than 60 s or 1 GiB for one small file, or a
value that cannot be used. Inputs that did are kept with the trace. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import hypothesis
from hypothesis import Phase, given
from hypothesis import strategies as st

from tests.hostile.fuzzing import SECONDS, Seeds
from tests.hostile.readers import READERS

BATCH = 500
"""Examples between looks at the clock; each batch has a seed of its own."""
GRACE_S = 60
HANGS_S = 2 * SECONDS


def worker(name: str, seconds: float, folder: Path, first_seed: int) -> None:
    """Fuzzes one reader; `progress.json` counts, `found/` gets inputs and traces, one for each place in the code."""
    limit = int(seconds) + GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))  # compiled code that never returns
    seeds = Seeds(name, folder)
    known: set[str] = {path.name for path in (folder / "found").iterdir()}
    count, seed, end = 0, first_seed, time.process_time() + seconds
    while time.process_time() < end:
        seed += 1

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=BATCH, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @given(st.data())
        def batch(data: st.DataObject) -> None:
            nonlocal count
            path = seeds.example(data)
            faulthandler.dump_traceback_later(HANGS_S, exit=True)  # also where compiled code waits for ever
            try:
                seeds.check()
            except Exception as error:  # noqa: BLE001 - each is a finding
                _keep(folder, path, error, known)
            faulthandler.cancel_dump_traceback_later()
            count += 1

        batch()
        text = json.dumps({"examples": count, "seed": seed, "seconds": seconds - (end - time.process_time())})
        (folder / "progress.json").write_text(text)


def _keep(folder: Path, path: Path, error: Exception, known: set[str]) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/site-packages/" not in frame.filename and "/lib/python" not in frame.filename]
    name = f"{type(error).__name__}-{Path(own[-1].filename).stem}-{own[-1].lineno}"
    if name not in known:
        known.add(name)
        found = folder / "found" / name
        shutil.copytree(folder / "copy", found / "input", dirs_exist_ok=True)
        (found / "trace.txt").write_text(f"{path}\n" + "".join(traceback.format_exception(error)))


def fuzz(name: str, minutes: float, keep: Path, seed: int) -> dict[str, object]:
    """Runs workers until the time is up: one that crashes or hangs is a finding, and the next goes on."""
    found = keep / name
    found.mkdir(parents=True, exist_ok=True)
    left, examples, crashes = minutes * 60, 0, 0
    while left > 1:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "found").symlink_to(found.resolve())
            words = [sys.executable, "-m", "tests.benchmarks.fuzz", "--worker", str(folder), "--seed", str(seed)]
            done = subprocess.run([*words, "--minutes", str(left / 60), name], stderr=subprocess.PIPE, check=False)
            progress = folder / "progress.json"
            told = json.loads(progress.read_text()) if progress.is_file() else {"examples": 0, "seconds": 1.0}
            examples, left, seed = examples + told["examples"], left - told["seconds"], seed + 100_000
            if done.returncode != 0:
                crashes += 1
                place = found / f"crash-{crashes}"
                place.mkdir(exist_ok=True)
                if (folder / "copy").is_dir():
                    shutil.copytree(folder / "copy", place / "input", dirs_exist_ok=True)
                (place / "trace.txt").write_text(
                    f"exit code {done.returncode}\n{done.stderr.decode('utf-8', 'replace')}"
                )
                if crashes == 5:
                    break
    findings = sorted(path.name for path in found.iterdir())
    return {"reader": name, "cpu_s": round(minutes * 60 - left), "examples": examples, "findings": findings}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", help="all if not given")
    parser.add_argument("--minutes", type=float, default=10.0, help="of CPU time for each reader")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for inputs that broke a reader"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--seed", type=int, default=0, help="where the batches' seeds start: another finds other things"
    )
    words = parser.parse_args()
    if words.worker:
        worker(words.readers[0], words.minutes * 60, words.worker, words.seed)
        return 0
    broken = 0
    for name in words.readers or READERS:
        row = fuzz(name, words.minutes, words.keep, words.seed)
        broken += bool(row["findings"])
        print(json.dumps(row), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
