"""Kills a run with SIGKILL in the middle of every stage, starts it again each time, and compares the digests with
those of an undisturbed run: python -m tests.benchmarks.resume PHOTOS... [--preset fast]"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = ("photos", "matches", "cameras", "depth", "splat", "mesh", "renders")
POLL_S = 0.005


def command(words: list[str], out: Path) -> list[str]:
    return [sys.executable, "-m", "fewview.apps.cli", "run", *words, "--out", str(out)]


def stages(out: Path) -> dict[str, dict[str, object]]:
    """The stages of the manifest, which is replaced atomically and so always whole."""
    try:
        return dict(json.loads((out / "manifest.json").read_text())["stages"])
    except FileNotFoundError:
        return {}


def kill_within(stage: str, words: list[str], out: Path, after_s: float) -> str:
    """Starts the run, and kills it and its children `after_s` seconds into `stage`; what the kill found."""
    process = subprocess.Popen(
        command(words, out), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and stages(out).get(stage, {}).get("status") != "running":
        time.sleep(POLL_S)
    time.sleep(after_s)
    if process.poll() is not None:
        return "had ended"
    os.kill(process.pid, signal.SIGKILL)  # the parent alone: its child must notice
    process.wait()
    return str(stages(out)[stage]["status"])


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        subprocess.run(command(words, undisturbed), check=True, stderr=subprocess.DEVNULL)
        wanted = stages(undisturbed)
        for stage in STAGES:
            seconds = float(str(wanted[stage]["seconds"]))
            found = kill_within(stage, words, killed, seconds / 2)
            print(f"{stage:<8} killed {seconds / 2:5.2f} s into it: {found}", flush=True)
        subprocess.run(command(words, killed), check=True, stderr=subprocess.DEVNULL)
        got = stages(killed)
        same = {stage: got[stage]["digest"] == wanted[stage]["digest"] for stage in STAGES}
        attempts = {stage: got[stage]["attempts"] for stage in STAGES}
    print(json.dumps({"same_digests": same, "attempts": attempts}, indent=1))
    return 0 if all(same.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
