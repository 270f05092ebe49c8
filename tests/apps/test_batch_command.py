"""`fewview batch` and `fewview batch status` as the user gives them, with photos."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fewview.apps.batches.summary import Row, doubtful, remarks
from fewview.apps.cli import main
from fewview.data.gallery import generate, write_scene


def test_a_batch_of_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scene(generate(3, views=2, size=(160, 120)), tmp_path / "room")
    (tmp_path / "empty").mkdir()
    jobs, out = tmp_path / "jobs.csv", tmp_path / "out"
    jobs.write_text("photos,options\nroom/images,--photos.long-side 128\nempty,\n")
    command = ["batch", str(jobs), "--out", str(out), "--preset", "fast", "--until", "photos", "--json"]
    assert main([*command, "--dry-run"]) == 0
    assert [plan["plan"] for plan in json.loads(capsys.readouterr().out)["scenes"]] == ["run", "leave"]
    assert not out.exists()
    for _ in range(2):  # given again, it says again what failed and why
        assert main(command) == 1
        said = capsys.readouterr()
        told = json.loads(said.out)
        assert "empty  failed (input): There are no photos in" in said.err
        assert "1 done, 1 failed" in said.err
        assert told["counts"] == {"done": 1, "failed": 1, "running": 0, "waiting": 0}
        room, empty = told["scenes"]
        assert (room["name"], room["status"], room["attempts"]) == ("room", "done", 1)
        assert (empty["kind"], empty["attempts"]) == ("input", 0)
        assert "There are no photos in" in empty["message"]
    manifest = json.loads((out / "room" / "manifest.json").read_text())
    assert manifest["digest"] == room["digest"]
    assert (manifest["verdict"]["level"], manifest["verdict"]["text"]) == (room["level"], room["verdict"])
    assert room["verdict"] == "good"
    assert (out / "room" / "report.html").is_file()
    assert 'href="room/report.html"' in (out / "index.html").read_text()
    assert manifest["stages"]["photos"]["config"]["long_side"] == 128
    assert main(["batch", "status", str(out), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == told
    jobs.write_text("photos,options\nroom/images,--photos.long-sode 128\n")
    assert main(command) == 2
    assert "jobs.csv, line 2: Unrecognized options: --photos.long-sode, 128" in " ".join(
        capsys.readouterr().err.split()
    )


def test_scenes_that_are_less_than_good_are_named() -> None:
    found = [
        Row("a", "done", level="good", verdict="good"),
        Row("b", "done", level="usable", verdict="usable, but: c.jpg was left out: It is blurred."),
        Row("d", "failed", "input", "There are no photos."),
        Row("e", "done"),
    ]
    assert remarks(found) == [
        "b  usable, but: c.jpg was left out: It is blurred.",
        "d  failed (input): There are no photos.",
    ]
    assert not doubtful(found)
    assert doubtful([*found, Row("f", "done", level="doubtful", verdict="do not rely on it: ...")])


def test_status_is_quick_to_import(tmp_path: Path) -> None:
    code = (
        f"import sys; from fewview.apps.cli import main; main(['batch', 'status', {str(tmp_path)!r}]); "
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == 0
    assert "is not the folder of a batch" in result.stderr
