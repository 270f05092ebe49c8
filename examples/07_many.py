"""Every folder of photos in a folder, each scene with its own options: `python 07_many.py SCENES OUT [OPTIONS]`.

Give it again after any interruption: finished scenes are not touched.
"""

import json
import sys
from pathlib import Path

from fewview.apps.cli import main

scenes, out = Path(sys.argv[1]), Path(sys.argv[2])
jobs = scenes / "jobs.jsonl"
with jobs.open("w") as file:
    for folder in sorted(path for path in scenes.iterdir() if path.is_dir()):
        options = "--no-layout" if "outdoor" in folder.name else ""
        print(json.dumps({"photos": folder.name, "preset": "fast", "options": options}), file=file)

code = main(["batch", str(jobs), "--out", str(out), "--time-limit", "1h", *sys.argv[3:]])
if (out / "batch.jsonl").exists():
    for line in (out / "batch.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] in ("done", "failed"):
            print(event["scene"], event["event"], event.get("verdict", event.get("message")))
    print(f"Open {out / 'index.html'}")
sys.exit(code)
