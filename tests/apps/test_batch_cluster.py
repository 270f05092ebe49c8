"""The same batch on a Ray cluster of three nodes, one of which is lost midway."""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from batch_toys import NAMES as ALL
from batch_toys import digests, task, undisturbed
from rich.console import Console

from fewview.apps.batches import cluster, journal
from fewview.apps.batches.course import run_batch
from fewview.apps.batches.scheduler import Engine, Rules
from fewview.apps.batches.task import Task
from fewview.recon.errors import EnvironmentFault

NAMES = ALL[:4]


def test_a_lost_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    cluster.import_ray("127.0.0.1")
    from ray.cluster_utils import Cluster

    photos, out = tmp_path / "photos", tmp_path / "ray"
    photos.mkdir()
    (tmp_path / "user").mkdir()
    for module in ("apps", "batch_toys", "calibration", "data", "layout", "recon", "splatting"):
        (tmp_path / "user" / f"{module}.py").write_text("raise SystemExit('the working folder was imported')\n")
    monkeypatch.chdir(tmp_path / "user")
    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        doomed = nodes.add_node(**node)
        nodes.add_node(**node)
        assert listening_elsewhere(int(nodes.address.partition(":")[2])) is False

        def lose_a_node() -> None:
            while len(list((out / "logs").glob("*.log"))) < 3:  # every node is at work
                time.sleep(0.05)
            nodes.remove_node(doomed, allow_graceful=False)
            # A worker outlives its node for a moment, in which its scene could end and be told of.
            until = time.monotonic() + 60
            while not any(event["event"] == "retry" for event in journal.read(out)) and time.monotonic() < until:
                time.sleep(0.05)
            (out / "go").touch()

        killer = threading.Thread(target=lose_a_node)
        killer.start()

        @contextmanager
        def engine(left: Sequence[Task]) -> Iterator[Engine]:
            with cluster.connected(out, nodes.address, None, None, 0.0) as made:
                assert (made.jobs, made.threads) == (3, 1)
                yield made

        tasks = [task(photos, out, name, "wait") for name in NAMES]
        history = run_batch(tasks, out, Rules(retries=4), engine, Console(file=io.StringIO()))
        assert capsys.readouterr().out == ""  # what Ray says is in its log
        assert (out / ".work" / "ray.log").exists()
        killer.join()
    finally:
        nodes.shutdown()
    events = journal.read(out)
    assert Counter(event["scene"] for event in events if event["event"] == "done") == dict.fromkeys(NAMES, 1)
    assert {event["kind"] for event in events if event["event"] == "retry"} == {"lost"}
    assert digests(history) == {name: undisturbed()[name] for name in NAMES}


def listening_elsewhere(port: int) -> bool:
    """Whether a port answers at an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks which address would be used
        own = probe.getsockname()[0]
    with socket.socket() as connection:
        connection.settimeout(2)
        return connection.connect_ex((own, port)) == 0


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentFault, match=r"Ray is not installed\. pip install 'fewview\[cluster\]'"):
        cluster.RayEngine(None, None, None, 0.0)
