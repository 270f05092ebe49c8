"""`fewview calibrate` and `fewview evaluate`: from files to figures, resumed, and what is wrong is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import faults, faults_in_browser
from playwright.sync_api import Browser
from small_rig import people_of, ring, seen_by, walker, write_openpose

import fewview
from fewview.apps.cli import main
from fewview.data.people import Capture, CaptureConfig, Walker, capture
from fewview.data.people import ring as people_ring
from fewview.recon.io.cameras import CameraSet, write_cameras


@pytest.fixture(scope="module")
def rig(mocap: Path) -> Path:
    return mocap / "pose2sim_single"


def _statuses(out: Path) -> dict[str, str]:
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    return {name: stage["status"] for name, stage in stages.items()}


@pytest.mark.data
def test_real_detections_to_figures_without_the_truth(rig: Path, tmp_path: Path) -> None:
    truth = json.loads((rig / "cameras.json").read_text())
    corrupt = [{"name": each["name"], "size": each["size"], "K": "corrupt", "R": None} for each in truth]
    (tmp_path / "sizes.json").write_text(json.dumps(corrupt))
    words = ["calibrate", str(rig / "body25b.npz"), "--sizes-from", str(tmp_path / "sizes.json")]
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    assert main([*words, "--out", str(out)]) == 0
    assert _statuses(out) == {"keypoints": "ok", "motion": "ok"}
    words_evaluate = ["evaluate", str(out), "--truth", str(rig / "Calib.qca.txt"), "--json", str(figures)]
    assert main(words_evaluate) == 0
    measured = json.loads(figures.read_text())
    assert (measured["cameras"], measured["calibrated"], measured["rra10"], measured["cca10"]) == (4, 4, 1, 1)
    assert measured["s_te_m"] < 0.2
    assert measured["rotation_deg"] < 1.0
    assert abs(measured["scale_error"]) < 3 * measured["scale_uncertainty"]
    assert max(abs(frames) for frames in measured["offsets_frames"].values()) < 2
    assert {"te_m", "focal_relative_error", "reprojection_px", "seconds"} <= set(measured)
    report = (out / "motion" / "report.html").read_text()
    assert all(each["name"] in report for each in truth)
    assert "http" not in report.replace("http://www.w3.org/2000/svg", ""), "it needs no network"
    assert main([*words, "--out", str(out)]) == 0
    assert _statuses(out) == {"keypoints": "cached", "motion": "cached"}
    # A known calibration is kept, and the world is its own.
    known = [*words, "--known", str(rig / "Calib.qca.txt"), "--out", str(tmp_path / "known")]
    assert main(known) == 0
    assert main([*words_evaluate[:1], str(tmp_path / "known"), *words_evaluate[2:]]) == 0
    measured = json.loads(figures.read_text())
    assert max(measured["te_m"], measured["rotation_deg"], measured["focal_relative_error"]) < 1e-6


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, " ".join(capsys.readouterr().err.split())


def test_bad_input_ends_with_2_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cameras = [seen_by(view, walker()) for view in ring()]
    for each in cameras:
        write_openpose(tmp_path / "rig" / each.camera, people_of(each, "BODY_25"))
    write_openpose(tmp_path / "one" / "cam01", people_of(cameras[0], "BODY_25"))
    rig, out = str(tmp_path / "rig"), ["--out", str(tmp_path / "out")]
    for words, message in (
        ((str(tmp_path / "nowhere"), *out), "There is no folder"),
        ((str(tmp_path / "one"), "--sizes", "640x480", *out), "There is only one camera, cam01."),
        ((rig, *out), "The image size of camera cam01 is not known."),
        ((rig, "--sizes", "320x240", *out), "lie outside its images of 320x240"),
        ((rig, "--sizes", "640x480", "--known", str(tmp_path / "Calib.toml"), *out), "There is no file"),
        ((rig, "--sizes", "640x480", "--offsets", "cam7=1", *out), "--offsets cam7=1 is not CAMERA=SECONDS."),
        ((rig, "--sizes", "640x480", "--sync", "sound", *out), "cannot be synchronised by sound"),
        ((rig, "--sizes", "640x480", "--skeleton", "COCO_17", *out), "have 25 joints each, not those of COCO_17."),
    ):
        code, text = _run(capsys, "calibrate", *words)
        assert code == 2, text
        assert message in text
        assert "Remedy:" in text
    (tmp_path / "rig" / "cam02" / "cam02_000000000003_keypoints.json").write_text("")
    code, text = _run(capsys, "calibrate", rig, "--sizes", "640x480", *out)
    assert code == 2
    assert "cam02_000000000003_keypoints.json is empty." in text


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "take.npz", xy=np.zeros((2, 3, 17, 2)), conf=np.zeros((2, 3, 17)))
    code, text = _run(capsys, "calibrate", str(tmp_path / "take.npz"), "--out", str(tmp_path / "out"), "--dry-run")
    assert code == 0
    assert "motion" in text
    assert not (tmp_path / "out").exists()


def test_evaluate_refuses_what_is_no_rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = _run(capsys, "evaluate", str(tmp_path), "--truth", str(tmp_path / "cameras.json"))
    assert code == 2
    assert "cameras.json" in text


def test_run_from_keypoints_needs_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for view in ring():
        write_openpose(tmp_path / "rig" / view.name, people_of(seen_by(view, walker(3)), "BODY_25"))
    code, text = _run(capsys, "run", str(tmp_path / "rig"), "--cameras", "keypoints", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "holds 0 videos: there is nothing to take pictures of." in text


@pytest.fixture(scope="module")
def walker_rig(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Capture]:
    """A folder with the calibrated rig in `out`, and the capture: different frame rates and starts, a height; all
    that reaches the program are OpenPose files."""
    folder = tmp_path_factory.mktemp("rig")
    walker, views = Walker(seed=5, height_m=1.82), people_ring(4, seed=3)
    truth = capture(views, [walker], CaptureConfig(duration_s=10.0, fps=(30.0, 25.0)), seed=3)
    for each in truth.detections:
        write_openpose(folder / "rig" / each.camera, people_of(each, "HALPE_26"))
    write_cameras(folder, CameraSet(views, "metre"))
    times = np.arange(300) / 30
    np.savez(folder / "truth.npz", xyz=walker.joints(times)[:, None], fps=30.0, start_s=0.0)
    words = ["--sizes", "1920x1080", "--fps", "30", "25", "30", "25", "--height", "1.82", "--out", str(folder / "out")]
    assert main(["calibrate", str(folder / "rig"), *words]) == 0
    return folder, truth


def test_synthetic_walker_from_files_to_figures(walker_rig: tuple[Path, Capture], tmp_path: Path) -> None:
    folder, truth = walker_rig
    figures = tmp_path / "figures.json"
    asked = ["--truth", str(folder / "cameras.json"), "--motion", str(folder / "truth.npz")]
    assert main(["evaluate", str(folder / "out"), *asked, "--json", str(figures)]) == 0
    measured = json.loads(figures.read_text())
    assert (measured["cameras"], measured["calibrated"], measured["rra10"], measured["cca10"]) == (4, 4, 1, 1)
    assert measured["s_te_m"] < 0.03
    assert abs(measured["scale_error"]) < 0.03
    rig = json.loads((folder / "out" / "motion" / "rig.json").read_text())
    for camera, offset in truth.offsets_s.items():
        assert rig["offsets_s"][camera] == pytest.approx(offset, abs=0.5 / 25)
    assert measured["motion"]["similarity_mm"] < 20
    assert measured["motion"]["known"] > 0.9


def test_a_rig_calibrated_from_python_is_that_of_the_command(
    walker_rig: tuple[Path, Capture], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, truth = walker_rig
    out = shutil.copytree(folder / "out", tmp_path / "out")
    sizes, fps = [(1920, 1080)], (30, 25, 30, 25)
    run = fewview.calibrate(folder / "rig", out, sizes=sizes, fps=fps, height_m=1.82, progress=lambda step: None)
    assert capsys.readouterr().err == ""
    assert _statuses(out) == {"keypoints": "cached", "motion": "cached"}
    assert [view.name for view in run.cameras.views] == [each.camera for each in truth.detections]
    take = run.results.rig.takes[0] if run.results.rig else ""
    motion = run.motion()
    assert np.array_equal(motion.xyz, np.load(out / "motion" / f"{take}.npz")["xyz"], equal_nan=True)
    assert np.array_equal(motion.xyz, run.motion(take).xyz, equal_nan=True)
    with pytest.raises(fewview.FewviewError, match=rf"noon is no take of .* Choose from: {take}\."):
        run.motion("noon")
    with pytest.raises(fewview.FewviewError, match=r"has no stage `depth`\. Its stages: keypoints, motion\."):
        run.depth("cam01")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_report_of_a_rig(walker_rig: tuple[Path, Capture], browser: Browser, width: int, scheme: str) -> None:
    folder, truth = walker_rig
    report = folder / "out" / "report.html"
    text = report.read_text(encoding="utf-8")
    assert faults(text) == []
    assert "All 4 cameras were calibrated and every result was made." in text
    assert "Lengths are in metres" in text
    assert all(each.camera in text for each in truth.detections)
    assert faults_in_browser(browser, report, width, scheme) == []
