"""Fails when a test was skipped that this machine could have run: only a missing GPU or data excuse."""

import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(report: str) -> int:
    excuses = []
    if shutil.which("nvidia-smi") is None:
        excuses.append("needs CUDA")
    if not Path(os.environ.get("FEWVIEW_DATA", "../shared/data")).is_dir():
        excuses.append("needs FEWVIEW_DATA")
    unexcused = [
        f"{case.get('classname')}::{case.get('name')}: {skip.get('message')}"
        for case in ElementTree.parse(report).iter("testcase")
        for skip in case.iter("skipped")
        if not any(excuse in (skip.get("message") or "") for excuse in excuses)
    ]
    for line in unexcused:
        print(f"skipped without an excuse: {line}", file=sys.stderr)
    return 1 if unexcused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
