"""The runner: cache, options, failures, manifest, display."""

from __future__ import annotations

import io
import json
import logging
import mmap
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dag_toys import Letters, Told, Toy, chain, crash, tell, tree, write
from rich.console import Console

from fewview.recon.dag import Manifest, Stage, run_stages
from fewview.recon.dag.live import Step, read_step
from fewview.recon.dag.memory import peak_mib
from fewview.recon.errors import EnvironmentFault, InputError, ReconstructionError
from fewview.recon.progress import Progress


def run(stages: list[Stage], out: Path, **options: Any) -> Manifest:
    options.setdefault("console", Console(file=io.StringIO()))
    return run_stages(stages, out, **options)


def statuses(manifest: Manifest) -> dict[str, str]:
    return {name: entry.status for name, entry in manifest.stages.items()}


def stored(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return value


ALL_CACHED = dict.fromkeys(["first", "second", "third", "side"], "cached")


def test_second_run_is_cached_and_says_the_same(tmp_path: Path) -> None:
    fresh = run(chain(Toy()), tmp_path, arguments=["run", "photos"])
    again = run(chain(Toy()), tmp_path)
    assert statuses(fresh) == dict.fromkeys(["first", "second", "third", "side"], "ok")
    assert statuses(again) == ALL_CACHED
    assert again.digest == fresh.digest
    for name, entry in fresh.stages.items():
        cached = again.stages[name]
        assert (cached.facts, cached.outputs, cached.seconds) == (entry.facts, entry.outputs, entry.seconds)
    assert fresh.stages["first"].facts == {"letters": 1}
    assert set(fresh.stages["first"].outputs) == {"text.txt", "deep/bytes.bin"}
    assert stored(tmp_path)["state"] == "complete"
    assert stored(tmp_path)["environment"]["cpus"] >= 1
    assert (tmp_path / "third" / "text.txt").read_text() == "xxxxx"[:4]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": Toy("y")}, 'text is "y", was "x"'),
        ({"weights": ("ab", "cd")}, "the weights changed"),
        ({"needs": ()}, "`first` changed"),
    ],
)
def test_every_ingredient_of_the_key_counts(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    stages = chain(Toy())
    run(stages, tmp_path)
    stages[3] = replace(stages[3], **changes)
    manifest = run(stages, tmp_path)
    assert statuses(manifest) == ALL_CACHED | {"side": "ok"}
    assert manifest.stages["side"].reason == reason


def test_fields_out_of_the_key_do_not_count(tmp_path: Path) -> None:
    run(chain(Toy(threads=1)), tmp_path)
    manifest = run(chain(Toy(threads=2)), tmp_path)
    assert statuses(manifest) == ALL_CACHED
    assert manifest.stages["first"].config["threads"] == 2


def test_sources_count_by_relative_name_and_content(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos" / "out"  # an output inside the photos is no source
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"a")
    (photos / ".DS_Store").write_bytes(b"1")

    def go(folder: Path) -> tuple[str, str]:
        entry = run([Stage("photos", write, facts=Letters, config=Toy(), sources=(folder,))], out).stages["photos"]
        return entry.status, entry.reason

    assert go(photos) == ("ok", "not made yet")
    (photos / ".DS_Store").write_bytes(b"2")
    assert go(photos) == ("cached", "up to date")
    (photos / "b.jpg").write_bytes(b"b")
    assert go(photos) == ("ok", "b.jpg is new")
    (photos / "b.jpg").write_bytes(b"c")
    assert go(photos) == ("ok", "b.jpg changed")
    (photos / "b.jpg").rename(photos / "c.jpg")
    assert go(photos) == ("ok", "c.jpg is new; b.jpg is gone")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("a.jpg", "c.jpg"):
        (elsewhere / name).write_bytes((photos / name).read_bytes())
    assert go(elsewhere) == ("cached", "up to date")
    with pytest.raises(InputError, match=r"^`.*/absent` does not exist\. Check the path\.$"):
        go(tmp_path / "absent")
    with pytest.raises(InputError, match=r"is the output folder as well\. Choose another folder with --out\.$"):
        go(out)


def test_an_artifact_that_comes_out_the_same_leaves_what_follows_cached(tmp_path: Path) -> None:
    stages = chain(Toy())
    run(stages, tmp_path)
    stages[0] = replace(stages[0], weights=("ab",))
    assert statuses(run(stages, tmp_path)) == ALL_CACHED | {"first": "ok"}


def test_a_modified_artifact_is_noticed_redone_and_kept(tmp_path: Path) -> None:
    run(chain(Toy()), tmp_path)
    before = tree(tmp_path)
    run(chain(Toy()), tmp_path)
    file = tmp_path / "side" / "text.txt"
    stat = file.stat()
    file.write_text("zz")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same modification time
    manifest = run(chain(Toy()), tmp_path)
    assert statuses(manifest) == ALL_CACHED | {"side": "ok"}
    assert manifest.stages["side"].reason == "modified since it was made: text.txt"
    assert "modified since it was made: text.txt" in (tmp_path / "logs" / "side.log").read_text()
    assert (tmp_path / "side.modified" / "text.txt").read_text() == "zz"
    assert {name: text for name, text in tree(tmp_path).items() if not name.startswith("side.m")} == before


def test_something_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(InputError) as caught:
        run(chain(Toy()), tmp_path)
    assert str(caught.value) == (
        f"`{tmp_path}/first` is in the way: fewview did not make it (it holds no .stage.json). "
        "Choose another folder with --out, or move it away."
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["first", "holiday.jpg"]


def test_until_from_and_force(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    stages, out = chain(Toy(calls=calls)), tmp_path / "out"

    def ran(**options: Any) -> list[str]:
        calls.write_text("")
        run(stages, out, **options)
        return calls.read_text().split()

    assert ran(until="second") == ["first", "second"]
    assert statuses(run(stages, out, until="second")) == {
        "first": "cached", "second": "cached", "third": "skipped", "side": "skipped"
    }  # fmt: skip
    assert ran() == ["third", "side"]
    assert ran(start="second") == ["second", "third"]
    assert ran(start="second", until="second") == ["second"]
    assert ran(force=["side", "first"]) == ["first", "side"]
    for option in ("until", "start"):
        with pytest.raises(InputError, match=r"there is no such stage\. Choose from first, second, third, side\.$"):
            ran(**{option: "nonsense"})
    with pytest.raises(InputError, match=r"^--force third is left out by --until second\."):
        ran(force=["third"], until="second")


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    stages, out = chain(Toy()), tmp_path / "out"
    console = Console(file=io.StringIO(), width=90)
    run(stages, out, dry_run=True, console=console)
    assert not out.exists()
    run(stages, out)
    (out / "side" / "text.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    stages[1] = replace(stages[1], config=Toy("y"))
    text = io.StringIO()
    manifest = run(stages, out, dry_run=True, console=Console(file=text, width=90))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert statuses(manifest) == {
        "first": "cached",
        "second": "planned",
        "third": "planned",
        "side": "planned",
    }
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines()]
    assert [row for row in rows if row] == [
        ["first", "cached", "up to date"],
        ["second", "run", 'text is "y", was "x"'],
        ["third", "run", "unless `second` comes out as before"],
        ["side", "run", "modified since it was made: text.txt"],
    ]


def test_a_failure_leaves_out_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    stages = chain(Toy())
    stages[1] = replace(stages[1], run=crash, config=Toy(crash="overlap"))
    with pytest.raises(ReconstructionError, match=r"^The photos do not overlap\. Take more\.$"):
        run(stages, tmp_path)
    seen = stored(tmp_path)
    assert seen["state"] == "failed"
    assert {name: entry["status"] for name, entry in seen["stages"].items()} == {
        "first": "ok", "second": "failed", "third": "skipped", "side": "ok"
    }  # fmt: skip
    assert seen["stages"]["second"]["error"] == {
        "class": "NoOverlapError", "message": "The photos do not overlap.", "remedy": "Take more."
    }  # fmt: skip
    assert seen["stages"]["third"]["reason"] == "needs `second`, which failed"
    assert "NoOverlapError" in (tmp_path / "logs" / "second.log").read_text()
    assert not (tmp_path / "second").exists()
    stages[1] = replace(stages[1], run=write)
    manifest = run(stages, tmp_path)
    assert statuses(manifest) == {"first": "cached", "second": "ok", "third": "ok", "side": "cached"}
    assert manifest.stages["second"].attempts == 2


def test_a_bug_shows_its_own_class(tmp_path: Path) -> None:
    text = io.StringIO()
    with pytest.raises(ValueError, match=r"^a bug$"):
        run([Stage("only", crash, config=Toy(crash="bug"))], tmp_path, console=Console(file=text, width=90))
    assert "only  failed: ValueError: a bug (log: logs/only.log)" in text.getvalue()
    with pytest.raises(ValueError, match=r"^a bug$"):
        run([Stage("only", crash, config=Toy(crash="bug"))], tmp_path)
    assert stored(tmp_path)["stages"]["only"]["attempts"] == 2


def test_interrupted(tmp_path: Path) -> None:
    stages = chain(Toy())
    stages[1] = replace(stages[1], run=crash, config=Toy(crash="interrupt"))
    with pytest.raises(KeyboardInterrupt):
        run(stages, tmp_path)
    seen = stored(tmp_path)
    assert (seen["state"], seen["stages"]["first"]["status"]) == ("interrupted", "ok")
    assert seen["stages"]["side"]["status"] == "planned"


@pytest.mark.parametrize("isolated", [False, True])
def test_a_full_disk_loses_nothing(tmp_path: Path, isolated: bool) -> None:
    stages = [
        Stage("first", write, facts=Letters, config=Toy()),
        Stage("big", crash, ("first",), Toy(crash="full"), isolated=isolated),
    ]
    with pytest.raises(EnvironmentFault) as caught:
        run(stages, tmp_path)
    assert str(caught.value) == (
        f"`{tmp_path}` cannot be written: the disk is full. Make room there or choose another folder with "
        "--out, and run again: finished stages are kept."
    )
    assert stored(tmp_path)["stages"]["big"]["error"]["class"] == "EnvironmentFault"
    assert (tmp_path / "first" / "text.txt").exists()
    assert {path.name for path in (tmp_path / ".work").iterdir()} <= {"lock", "hashes.json", "progress.json"}


def test_a_manifest_that_cannot_be_written_is_a_clear_error_and_the_run_resumes(tmp_path: Path) -> None:
    """From the second stage on, files end at 512 bytes: its record and the manifest do not fit."""
    stages = [
        Stage("first", write, facts=Letters, config=Toy()),
        Stage("second", crash, ("first",), Toy(crash="limit")),
    ]
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run(stages, tmp_path)
        except EnvironmentFault as error:
            status = 0 if "the limit on file size is reached" in error.what else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert stored(tmp_path)["stages"]["first"]["status"] == "ok"  # the manifest before it is whole
    stages[1] = replace(stages[1], config=Toy(crash=""))
    assert statuses(run(stages, tmp_path)) == {"first": "cached", "second": "ok"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_an_output_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        run(chain(Toy(calls=tmp_path / "calls")), Path("/sys/fewview"))
    assert str(caught.value) == (
        "`/sys/fewview` cannot be written: permission is denied. Choose another folder with --out."
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file` is a file\. Choose a folder with --out\.$"):
        run(chain(Toy()), tmp_path / "file")
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("isolated", [False, True])
def test_what_a_stage_says_is_logged_shown_and_recorded(tmp_path: Path, isolated: bool) -> None:
    logger = logging.getLogger("fewview")
    state = (logger.level, list(logger.handlers), logger.propagate)
    text = io.StringIO()
    stage = Stage("teller", tell, isolated=isolated, facts=Told)
    run([stage], tmp_path, console=Console(file=text, width=100))
    entry = stored(tmp_path)["stages"]["teller"]
    assert entry["facts"] == {"size": [2, None]}
    assert entry["fallbacks"] == [{"wanted": "stereo", "used": "guessing", "reason": "only one photo"}]
    assert entry["peak_mib"] > 5
    lines = (tmp_path / "logs" / "teller.log").read_text()
    assert lines.count("INFO a note") == 1
    assert lines.count("WARNING guessing instead of stereo: only one photo") == 1
    assert ("printed" in lines) == isolated
    assert "teller: guessing instead of stereo: only one photo" in text.getvalue()
    assert (logger.level, logger.handlers, logger.propagate) == state
    cached = run([stage], tmp_path).stages["teller"]
    assert (cached.status, cached.facts, cached.fallbacks) == ("cached", entry["facts"], entry["fallbacks"])


def test_peak_memory_is_the_stages_own(tmp_path: Path) -> None:
    with mmap.mmap(-1, 200 << 20) as ballast:  # no allocator that might keep it
        ballast[::4096] = b"x" * len(ballast[::4096])
    before = peak_mib()
    stages = [
        Stage("child", write, facts=Letters, config=Toy(), isolated=True),
        Stage("here", write, facts=Letters, config=Toy()),
    ]
    peaks = {name: entry.peak_mib for name, entry in run(stages, tmp_path).stages.items()}
    assert before is not None
    assert peaks["here"] is not None
    assert peaks["child"] is not None
    assert peaks["child"] < 100
    assert peaks["here"] < before - 150


def test_another_process_can_follow_the_stage_at_work(tmp_path: Path) -> None:
    seen = []

    def watched(inputs: Mapping[str, Path], config: None, out: Path, progress: Progress) -> None:
        seen.append(read_step(tmp_path))
        time.sleep(0.6)
        progress.step(3, 7, "photo")
        seen.append(read_step(tmp_path))

    assert read_step(tmp_path) is None
    run([Stage("watched", watched)], tmp_path)
    assert seen[0] == Step("watched")
    assert seen[1] == Step("watched", 3, 7, "photo", seconds=pytest.approx(0.6, abs=0.4))


def test_live_display(tmp_path: Path) -> None:
    text = io.StringIO()

    def watched(inputs: Mapping[str, Path], config: None, out: Path, progress: Progress) -> None:
        progress.step(3, 7, "photo")
        deadline = time.monotonic() + 10
        while "photo 3/7" not in text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)

    console = Console(file=text, force_terminal=True, width=100, color_system=None)
    run([Stage("watched", watched)], tmp_path, console=console)
    assert "photo 3/7" in text.getvalue()
    assert "watched  done in" in text.getvalue()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Stage("a", write), Stage("a", write)], "two stages share a name"),
        ([Stage("a", write, ("b",))], "stage a needs b, which is not declared"),
        ([Stage("a", write, ("b",)), Stage("b", write, ("a",))], "the stages form a cycle"),
    ],
)
def test_malformed_graphs(tmp_path: Path, stages: list[Stage], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(stages, tmp_path)


@pytest.mark.parametrize("name", ["", "Photos", "a/b", ".work", "logs"])
def test_names_that_are_no_folder_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a stage"):
        Stage(name, write)


def test_the_runner_knows_nothing_of_3d() -> None:
    script = "import sys, fewview.recon.dag; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"fewview.recon.dag", "rich"} <= set(loaded)
    assert not {"numpy", "torch", "cv2", "open3d", "pycolmap"} & set(loaded)
    assert {".".join(name.split(".")[:2]) for name in loaded if name.startswith("fewview.")} == {"fewview.recon"}
