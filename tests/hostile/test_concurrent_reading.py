"""Several commands on one run at once, killed or while it changes: what they write is whole or absent."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from fewview.apps.cli import main
from fewview.recon.dag.artifact import read_record
from fewview.splatting.export import read_ply, read_splat, read_spz
from tests.hostile.places import write_noise, write_run

PLAIN = ("splat", "mesh-glb", "colmap", "transforms")
"""Formats that need no torch, which does not bear forks."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_noise(folder / "photos")
    write_run(folder / "run", folder / "photos")
    return folder / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def export(run: Path, to: Path, *more: str) -> int:
    return main(["export", str(run), "--to", str(to), "--format", *PLAIN, *more])


def test_an_export_that_is_killed_leaves_whole_results_and_the_next_one_completes_it(run: Path, tmp_path: Path) -> None:
    """Killed before each of its operations on the disk, in turn."""
    assert export(run, tmp_path / "undisturbed") == 0
    whole = contents(tmp_path / "undisturbed")
    for event in range(0, 1000, 2):
        to = tmp_path / str(event)
        if not _killed_before(event, run, to):
            break
        found = contents(to) if to.is_dir() else {}
        shown = {name: data for name, data in found.items() if not name.startswith(".unfinished-")}
        assert all(whole[name] == data for name, data in shown.items())
        if not shown:
            assert export(run, to) == 0
            assert contents(to) == whole
            assert sorted(to.iterdir()) == [to / path.name for path in sorted((tmp_path / "undisturbed").iterdir())]
    assert event > 15
    assert contents(to) == whole


def _killed_before(event: int, run: Path, to: Path) -> bool:
    """Exports in a fork that is killed just before its n-th operation on `to`; False where it ended before."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(name: str, words: tuple[object, ...]) -> None:
            nonlocal seen
            if name in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove") and str(to) in str(words[0]):
                if seen == event:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        sys.addaudithook(hook)
        os._exit(export(run, to))
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def test_commands_side_by_side_do_not_disturb_each_other(run: Path, tmp_path: Path) -> None:
    before, codes = contents(run), {}

    def call(name: str, *words: str) -> None:
        codes[name] = main([*words])

    film = ["--seconds", "0.2", "--size", "32x32"]
    left_over = tmp_path / ".unfinished-render-killed"
    left_over.mkdir()
    threads = [
        *(
            threading.Thread(target=lambda k=k: codes.update({k: export(run, tmp_path / str(k), "spz", "splat32")}))
            for k in range(3)
        ),
        # Both write the same film: each leaves a whole one.
        *(
            threading.Thread(target=call, args=(name, "render", str(run), "--to", str(tmp_path / "film.mp4"), *film))
            for name in ("one", "other")
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes.values()) == {0}
    assert len(codes) == 5
    assert contents(tmp_path / "0") == contents(tmp_path / "1") == contents(tmp_path / "2")
    count = read_ply(tmp_path / "0" / "splat.ply").count
    assert read_spz(tmp_path / "0" / "splat.spz").count == read_splat(tmp_path / "0" / "splat.splat").count == count
    assert (tmp_path / "film.mp4").stat().st_size > 0
    assert not list(tmp_path.glob(".unfinished-*"))
    assert contents(run) == before


def test_two_exports_to_one_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to, codes = tmp_path / "to", list[int]()
    at_work, refused = threading.Event(), threading.Event()

    def slow(source: Path, target: Path) -> None:
        at_work.set()
        assert refused.wait(20)
        shutil.copyfile(source, target)

    monkeypatch.setattr("shutil.copy2", slow)
    first = threading.Thread(target=lambda: codes.append(export(run, to)))
    first.start()
    assert at_work.wait(20)
    assert export(run, to) == 1
    assert f"`{to}` is in use by another command." in " ".join(capsys.readouterr().err.split())
    refused.set()
    first.join()
    assert codes == [0]
    assert not list(to.glob(".unfinished-*"))
    assert (to / "splat.ply").read_bytes() == (run / "splat" / "splat.ply").read_bytes()


def test_an_export_leaves_alone_what_a_render_left(run: Path, tmp_path: Path) -> None:
    film = tmp_path / ".unfinished-render-killed" / "film.mp4"
    film.parent.mkdir()
    film.write_bytes(b"half a film")
    assert export(run, tmp_path) == 2
    assert film.exists()


def test_a_run_that_replaces_artifacts_meanwhile_is_noticed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "run"
    shutil.copytree(run, own)

    def replaced(source: Path, target: Path) -> None:
        record = own / "splat" / ".stage.json"
        stored = read_record(own / "splat")
        assert stored is not None
        record.write_text(record.read_text().replace(stored.digest, "0" * 64))
        shutil.copyfile(source, target)

    monkeypatch.setattr("shutil.copy2", replaced)
    assert main(["export", str(own), "--to", str(tmp_path / "to"), "--format", "splat"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"{own} changed while it was read: a run is at work there." in said
    assert not (tmp_path / "to" / "splat.ply").exists()
