"""How long a command takes that finds every scene finished: python -m tests.benchmarks.batch_resume [SCENES]

The scenes are made up: photos that are never opened, and a journal as a batch would have left it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fewview.apps.batches import journal
from fewview.apps.batches.plan import plan
from fewview.apps.batches.resume import stamp
from fewview.apps.batches.scenes import find
from fewview.apps.options import StageOptions

PHOTOS = 6


def make(folder: Path, out: Path, count: int) -> None:
    """Scenes that a batch with default options has finished."""
    for number in range(count):
        photos = folder / f"scene-{number:05}"
        photos.mkdir(parents=True)
        for photo in range(PHOTOS):
            (photos / f"{photo}.jpg").write_bytes(b"x")
    scenes = find([str(folder)])
    lines = [{"event": "batch", "batch": 1, "scenes": [scene.name for scene in scenes]}]
    for scene in scenes:
        (out / scene.name).mkdir(parents=True)
        (out / scene.name / "manifest.json").write_text('{"state": "complete", "digest": "0"}')
        task = plan(scene, [StageOptions()], out)
        lines += [{"event": "started", "scene": scene.name, "attempt": 1}]
        lines += [
            {
                "event": "done",
                "scene": scene.name,
                "attempt": 1,
                "recipe": task.recipe,
                "inputs": task.inputs,
                "manifest": stamp(out, scene.name),
                "digest": "0",
                "seconds": 1.0,
                "peak_mib": 1.0,
                "setting": "preset default",
                "instead_of": None,
            }
        ]
    lines += [{"event": "end"}]
    (out / journal.NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        scenes, out = Path(name) / "scenes", Path(name) / "out"
        make(scenes, out, count)
        began = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", "fewview.apps.cli", "batch", str(scenes), "--out", str(out)], check=False
        ).returncode
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = sum(event["event"] == "started" for event in journal.read(out)) - count
    figures = {
        "scenes": count,
        "exit_code": code,
        "started": started,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    }
    print(json.dumps(figures, indent=1))
    return int(code != 0 or started != 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
