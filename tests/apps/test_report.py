"""The report of a run: whole, partial, failed; self-contained, escaped, small, and legible in a browser."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pages import faults, faults_in_browser
from PIL import Image
from playwright.sync_api import Browser
from quick import QUICK
from rich.console import Console

from fewview.apps.cli import main
from fewview.apps.commands.report import reported
from fewview.apps.reporting import formats, pictures, write_report
from fewview.apps.reporting.page import choose_pictured
from fewview.apps.results import read_results
from fewview.recon.errors import EnvironmentFault, ReconstructionError

HOSTILE = ("<script>alert(1)<:script>.png", "\"onerror=alert(2) x='.png", "{{ 7 * 7 }} &amp; 部屋 ü.png", "\udcff.png")


@pytest.fixture
def copy(room: tuple[Path, Path], tmp_path: Path) -> Path:
    """The run, to be changed."""
    shutil.copytree(room[1], tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def test_a_whole_run(room: tuple[Path, Path]) -> None:
    _, out = room
    text = (out / "report.html").read_text(encoding="utf-8")
    assert faults(text) == []
    assert len(text) < 3e6
    for said in ("It worked", "4 of 4", "Renders beside the photos", "Learning curve", "Depth and how sure", "BSD-3"):
        assert said in text
    assert 'id="scale-bar"' in text, "the floor plan stands in the page"
    assert all(photo.name in text for photo in read_results(out).photos)
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text(encoding="utf-8") == text, "the same run gives the same page"


def test_a_partial_run_shows_nothing_of_an_earlier_one(room: tuple[Path, Path], copy: Path) -> None:
    words = ["run", str(room[0] / "images"), "--out", str(copy), *QUICK, "--until", "cameras"]
    assert main(words) == 0
    text = (copy / "report.html").read_text(encoding="utf-8")
    assert (copy / "renders").is_dir()
    assert faults(text) == []
    assert "All 4 photos were placed and the run stopped after <code>cameras</code>, as asked." in text
    assert 'id="cameras"' in text
    assert 'id="renders"' not in text
    assert 'id="depth"' not in text


def test_a_failed_run_says_what_failed_and_what_to_do(room: tuple[Path, Path], copy: Path) -> None:
    words = ["run", str(room[0] / "images"), "--out", str(copy), *QUICK, "--splat.view-weights", "nobody.png", "1"]
    assert main(words) == 2
    text = (copy / "report.html").read_text(encoding="utf-8")
    assert faults(text) == []
    assert "It failed" in text
    assert "Stage <code>splat</code> failed: --splat.view-weights names nobody.png" in text
    assert "Choose from" in text
    assert "kept: photos, matches, cameras, depth, layout." in text
    assert 'id="depth"' in text, "what was done before is shown"
    assert 'id="renders"' not in text


def test_an_interrupted_run_is_no_fault_of_the_program(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["state"] = "interrupted"
    error = {"class": "KeyboardInterrupt", "message": "interrupted", "remedy": None}
    manifest["stages"]["splat"] |= {"status": "failed", "error": error}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    text = write_report(copy).read_text(encoding="utf-8")
    assert faults(text) == []
    assert "Not finished" in text
    assert "The run was interrupted at stage <code>splat</code>; the same command continues it." in text
    assert "fault of fewview" not in text


def test_hostile_names_are_text(tmp_path: Path, browser: Browser) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out <b>"
    photos.mkdir()
    for seed, name in enumerate(HOSTILE):
        noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(noise).resize((320, 240)).save(photos / name)
    (photos / "<i>broken.jpg").write_text("these are words")
    assert main(["run", str(photos), "--out", str(out), "--until", "photos"]) == 0
    text = (out / "report.html").read_text(encoding="utf-8")
    assert faults(text) == []
    assert not any(tag in text for tag in ("<script>alert", "<i>broken", "<b>", " onerror"))
    assert "{{ 7 * 7 }} &amp;amp; 部屋 ü.png" in text
    assert "&lt;i&gt;broken.jpg was left out" in text
    assert faults_in_browser(browser, out / "report.html", 390) == []
    assert formats.coded("`<b>` & <i>") == "<code>&lt;b&gt;</code> &amp; &lt;i&gt;"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_in_a_browser(room: tuple[Path, Path], browser: Browser, width: int, scheme: str) -> None:
    assert faults_in_browser(browser, room[1] / "report.html", width, scheme) == []


def test_a_page_of_a_hundred_photos_stays_below_15_mb(room: tuple[Path, Path]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    picture = pictures.from_array(noise)
    most = pictures.MOST_BYTES * 4 / 3 + 100
    assert len(picture.uri) < most
    assert max(picture.width, picture.height) <= pictures.SIDE_PX
    assert pictures.MOST_PICTURED * 6 * most + 100 * most / 4 + pictures.MOST_FILM_BYTES * 4 / 3 < 14e6
    (photo, *_) = read_results(room[1]).photos
    many = [replace(photo, name=str(i), psnr_db=20.0 + i % 50) for i in range(100)]
    chosen = choose_pictured([*many, replace(photo, name="left out", registered=False)])
    assert len(chosen) == pictures.MOST_PICTURED
    assert max(photo.psnr_db or 0 for photo in chosen) < 33


def test_what_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "is not the folder of a run (it has no manifest.json)." in " ".join(capsys.readouterr().err.split())


def _fail(out: Path) -> None:
    """Ends as a failed run does."""
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "state": "failed"}))
    raise ReconstructionError("There is no overlap.", "Take more photos.")


def test_a_report_that_cannot_be_written_fails_a_good_run_and_hides_no_failure(copy: Path) -> None:
    (copy / "report.html").unlink()
    (copy / "report.html").mkdir()
    console = Console(record=True, width=400)
    with pytest.raises(EnvironmentFault, match=r"The run went well.*report\.html"), reported(copy, console):
        pass
    with pytest.raises(ReconstructionError, match="no overlap"), reported(copy, console):
        _fail(copy)
    assert "The report could not be written" in console.export_text()
    assert [path.name for path in copy.iterdir() if "report" in path.name] == ["report.html"], "nothing half written"


def test_a_refused_run_leaves_the_report_alone(room: tuple[Path, Path]) -> None:
    before = (room[1] / "report.html").stat().st_mtime_ns
    words = ["run", str(room[0] / "images"), "--out", str(room[1]), *QUICK, "--force", "motion"]
    assert main(words) == 2
    assert (room[1] / "report.html").stat().st_mtime_ns == before


def test_text_stands_out_from_what_is_behind_it() -> None:
    """4.5 to 1, as WCAG 2.2 (criterion 1.4.3) asks."""
    css = (Path(pictures.__file__).parent / "templates" / "report.css").read_text()
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in css.split("@media", 2)[:2])
    backs = ["page", "panel", "good-back", "warn-back", "bad-back"]
    pairs = [*product(["text", "soft"], backs), ("good", "good-back"), ("warn", "warn-back"), ("bad", "bad-back")]
    for colours in (light, dark):
        for front, back in [*pairs, ("accent", "page"), ("accent", "panel"), ("page", "accent")]:
            lighter, darker = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (front, back)


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG."""
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
