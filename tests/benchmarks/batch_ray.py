"""A batch of whole scenes on a Ray cluster of three nodes on loopback, of which one is killed while it is in the middle
of a scene; compared with the same batch by child processes: the same digests of all stages.

    python -m tests.benchmarks.batch_scenes SCENES
    python -m tests.benchmarks.batch_ray SCENES --out OUT [--count 6]

OUT gets `local`, `ray` and their logs. It takes about 4 GiB of memory."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from fewview.apps.batches import cluster
from tests.benchmarks.batch_chaos import compare, descendants, start
from tests.benchmarks.batch_scenes import BAD

MIDWAY = "depth"
"""The node is lost while one of its scenes is at this stage or a later one."""


def choose(scenes: Path, count: int, place: Path) -> None:
    """Writes a jobs file of some good scenes, synthetic and real."""
    jobs = [json.loads(line) for line in (scenes / "jobs.jsonl").read_text().splitlines()]
    good = [job | {"photos": str(scenes.absolute() / job["photos"])} for job in jobs if job["name"] not in BAD]
    place.write_text("".join(json.dumps(job) + "\n" for job in good[:: max(1, len(good) // count)][:count]))


def scene_midway(raylet: int, out: Path) -> str | None:
    """A scene that a node is at work on and has taken to MIDWAY."""
    for pid in descendants(raylet):
        with contextlib.suppress(OSError, KeyError, ValueError):  # ended, or has no manifest yet
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if any("batches.child" in word for word in words):
                name = words[-2]  # the last word ends with a zero, too
                stages = json.loads((out / name / "manifest.json").read_text())["stages"]
                if list(stages).index(MIDWAY) <= _at(stages):
                    return name
    return None


def _at(stages: dict[str, Any]) -> int:
    return next((i for i, entry in enumerate(stages.values()) if entry["status"] == "running"), -1)


def on_three_nodes(jobs: Path, out: Path) -> tuple[int, str | None]:
    """Exit code of the batch, and the scene whose node was lost (None: it came to its end before)."""
    cluster.import_ray("127.0.0.1")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        doomed = nodes.add_node(**node)
        nodes.add_node(**node)
        raylet = doomed.all_processes["raylet"][0].process.pid
        batch = start([str(jobs), "--engine", "ray", "--address", nodes.address, "--threads", "1"], out)
        lost = None
        while batch.poll() is None and lost is None:
            time.sleep(0.1)
            if lost := scene_midway(raylet, out):
                nodes.remove_node(doomed, allow_graceful=False)
        return batch.wait(), lost
    finally:
        nodes.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    jobs, local, ray = given.out / "jobs.jsonl", given.out / "local", given.out / "ray"
    choose(given.scenes, given.count, jobs)
    expected = start([str(jobs), "--jobs", "2", "--threads", "1"], local).wait()
    code, lost = on_three_nodes(jobs, ray)
    figures = {"exit_codes": [expected, code], "lost_with_its_node": lost, **compare(local, ray)}
    if lost:
        stages = json.loads((ray / lost / "manifest.json").read_text())["stages"]
        figures["continued_from"] = [name for name, entry in stages.items() if entry["status"] == "cached"]
    print(json.dumps(figures, indent=1))
    same = figures["same_scenes"] and figures["same_failures"] and figures["same_digests"]
    well = expected == code == 0 and same and not figures["ray"]["lost"] and not figures["ray"]["twice"]
    return int(not (well and lost and "matches" in figures["continued_from"]))


if __name__ == "__main__":
    sys.exit(main())
