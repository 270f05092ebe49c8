"""The command line's promises: exit codes, and error texts that name what, where and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest

from fewview.apps.batches import command as batches
from fewview.apps.cli import COMMANDS, main
from fewview.apps.commands import benchmark, demo, doctor, run
from fewview.apps.commands.doctor import Finding
from fewview.apps.pipeline import PRESETS
from fewview.data.gallery import generate, write_scene


def _photo(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (240, 320, 3)).astype(np.float32), (0, 0), 3)
    noise = (noise - noise.min()) / (noise.max() - noise.min()) * 255
    assert cv2.imwrite(str(path), noise.astype(np.uint8))
    return path


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, " ".join(capsys.readouterr().err.split())


def test_usage_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    assert all(name in usage for name in COMMANDS)
    assert main([]) == 2
    assert main(["reconstruct"]) == 2
    assert "there is no command `reconstruct`" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0


def test_help_that_nobody_reads_to_its_end() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does
    try:
        words = [sys.executable, "-m", "fewview.apps.cli", "run", "--help"]
        done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_unknown_option_is_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "photos", "--out", "out", "--no-such-option"])
    assert stopped.value.code == 2


TWICE = (
    ("--preset fast", "--preset best"),
    ("--preset=best", "--preset fast"),
    ("--preset fast --splat.steps 7", "--preset=default --splat.steps=8"),
    ("--out first", "--out=second"),
    ("--cameras keypoints", "--prior known:second"),
    ("--prior known:first", "--cameras matching"),
    ("--intrinsics first", "--intrinsics second"),
    ("--no-layout --until depth --force photos splat", "--layout --until mesh --force depth"),
)
PRESETTING = (
    "run photos --out out",
    "demo",
    "benchmark set --views 3",
    "benchmark --structured3d set",
    "batch scenes --out out",
)


@pytest.mark.parametrize("words", PRESETTING)
@pytest.mark.parametrize(("first", "last"), TWICE)
def test_of_an_option_given_twice_the_last_counts(words: str, first: str, last: str) -> None:
    name, *base = words.split()
    module = {"run": run, "demo": demo, "benchmark": benchmark, "batch": batches}[name]
    if "--structured3d" in base and {"--until", "--no-layout"} & set(first.split()):
        return  # rooms have no such options

    def parse(*options: str) -> object:
        parsed = module.parse([*base, *" ".join(options).split()])
        return getattr(parsed, "arguments", parsed)  # a batch keeps its words, too

    assert parse(first, last) == parse(last)
    assert parse(last) != parse(first)


def test_a_preset_is_what_it_is_called() -> None:
    """The name that is told and the options that are run, in whatever order presets are given."""
    for names in permutations(PRESETS, 2):
        stages = run.parse(["photos", "--out", "out", *(f"--preset={name}" for name in names)]).stages
        assert (stages.preset, stages.options) == (names[-1], PRESETS[names[-1]])
    with pytest.raises(SystemExit):
        run.parse(["photos", "--out", "out", "--preset", "fast", "--preset", "quick"])


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    code, text = _run(capsys, "run", str(folder), "--out", str(tmp_path / "out"))
    assert code == 2
    assert str(folder) in text
    assert "Remedy:" in text


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = _run(capsys, "run", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert code == 2
    assert str(tmp_path / "nowhere") in text


def test_one_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = _photo(tmp_path / "only.jpg", 0)
    code, text = _run(capsys, "run", str(photo), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "only.jpg" in text


def test_not_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_text("these are words")
    (tmp_path / "b.jpg").write_bytes(_photo(tmp_path / "whole.jpg", 0).read_bytes()[:200])
    code, text = _run(capsys, "run", str(tmp_path), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "a.jpg" in text
    assert "b.jpg" in text


def test_output_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [str(_photo(tmp_path / f"{i}.jpg", i)) for i in range(2)]
    (tmp_path / "file").write_text("in the way")
    code, text = _run(capsys, "run", *photos, "--out", str(tmp_path / "file" / "out"))
    assert code == 1
    assert str(tmp_path / "file") in text


def test_photos_that_do_not_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [str(_photo(tmp_path / f"{i}.jpg", i)) for i in range(3)]
    out = tmp_path / "out"
    code, text = _run(capsys, "run", *photos, "--out", str(out))
    assert code == 1
    assert "The photos show different things" in text
    assert "0.jpg, 1.jpg, 2.jpg" in text
    assert "Take photos that share at least half of what they show with a neighbour" in text
    # What was computed stays, and says what happened.
    assert (out / "photos" / "views.json").is_file()
    assert '"failed"' in (out / "manifest.json").read_text()


def test_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [str(_photo(tmp_path / f"{i}.jpg", i)) for i in range(2)]
    out = tmp_path / "out"
    code, text = _run(capsys, "run", *photos, "--out", str(out), "--dry-run")
    assert code == 0
    assert "splat" in text
    assert not out.exists()


def test_export_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = _run(capsys, "export", str(tmp_path), "--to", str(tmp_path / "to"))
    assert code == 2
    assert "is not the folder of a run" in text


def test_benchmark_refuses_more_photos_than_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scene(generate(seed=3, views=3), tmp_path / "set")
    code, text = _run(capsys, "benchmark", str(tmp_path / "set"), "--views", "4")
    assert code == 2
    assert "has 3 photos" in text
    code, text = _run(capsys, "benchmark", str(tmp_path / "set"), "--views", "2", "--frames", "one")
    assert code == 2
    assert "--frames one is not A:B" in text


def test_doctor_names_what_is_there_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor"]) == 0
    assert "native kernels of fewview.splatting" in capsys.readouterr().out
    missing = Finding("something", False, "no [such] thing", "pip install 'fewview[gpu]'")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: missing,))
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "no [such] thing" in text
    assert "'fewview[gpu]'" in text


def test_models_lists_licences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["models", "list"]) == 0
    text = capsys.readouterr().out
    assert "aliked" in text
    assert "Apache-2.0" in text


def test_help_is_quick_to_import() -> None:
    """`fewview --help` must not load torch: it answers at once."""
    code = "import sys, fewview.apps.cli; fewview.apps.cli.main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
