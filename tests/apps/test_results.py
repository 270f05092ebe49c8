"""A run's folder read back: what counts, what is judged, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fewview.apps.results import Failure, Results, read_results
from fewview.apps.results.judging import judge, next_photos
from fewview.apps.results.photos import read_comparison
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.errors import InputError
from fewview.recon.io.images import write_png
from fewview.splatting.pictures import compared


@pytest.fixture(scope="module")
def results(room: tuple[Path, Path]) -> Results:
    return read_results(room[1])


def test_a_whole_run(results: Results) -> None:
    assert results.verdict.level == "good"
    assert results.verdict.sentence == "All 4 photos were placed and every result was made."
    assert all(photo.registered and photo.psnr_db and photo.psnr_db > 20 for photo in results.photos)
    assert all(photo.depth_verified and photo.overlap and photo.reprojection_px for photo in results.photos)
    assert {entry.name: entry.licence for entry in results.weights} == {
        "aliked-n16": "BSD-3-Clause",
        "lightglue-aliked": "Apache-2.0",
    }
    assert results.scale is not None
    assert (results.scale.units, results.scale.guess) == ("unknown", True), "guessed from the room"
    assert results.scale.sentence.startswith("The scale is a guess: ")
    assert len(results.pairs) == 6
    assert results.room is not None
    assert results.room.found
    assert results.training is not None
    assert len(results.training.steps) == len(results.training.psnr_db)
    paths = [file.path for file in results.files]
    assert {"splat/splat.ply", "mesh/mesh.glb", "splat/sparse/0", "renders/path.mp4", "layout/floorplan.dxf"} < set(
        paths
    )
    assert "cameras/sparse/0" not in paths, "the refined cameras stand for them"
    assert all((results.out / path).exists() for path in paths)


def test_pictures_are_where_they_are_said_to_be(results: Results) -> None:
    for photo in results.photos:
        for path in (photo.image, photo.render, photo.comparison, photo.depth_picture, photo.overlay):
            assert path is not None
            assert (results.out / path).is_file()


def test_doubts_are_named(results: Results) -> None:
    first, *others = results.photos
    doubted = (
        replace(first, probability=0.6, overlap=0.1, depth_verified=0.05, psnr_db=12.0),
        replace(others[0], registered=False, reason="It shows nothing that another photo shows too."),
        *others[1:],
    )
    verdict = judge("complete", None, results.stages, doubted, None)
    why = f"{others[0].name} was left out: It shows nothing that another photo shows too."
    assert verdict.level == "usable"
    assert verdict.lines() == [
        "3 of 4 photos were placed and every result was made.",
        f"  left out: {others[0].name}: It shows nothing that another photo shows too.",
        f"Verdict: usable, but: {why} (4 more in the report)",
    ]
    assert (verdict.exit_code(strict=True), verdict.exit_code(strict=False)) == (0, 0)
    assert verdict.warnings == (
        f"{others[0].name} was left out: It shows nothing that another photo shows too.",
        f"The place of {first.name} is right with a probability of 60% only.",
        f"Other photos see only 10% of what {first.name} shows.",
        f"Only 5% of the depth of {first.name} is confirmed; the rest is a guess.",
        f"The splats do not look like {first.name} (12.0 dB).",
    )
    assert next_photos(("First.",), doubted)[0] == "First."
    assert next_photos((), doubted) == (
        f"Too little confirms the depth of {first.name}: take the same again, a step to the side of each.",
    )
    kept_out = replace(first, psnr_db=12.0, held_out=True)
    assert judge("complete", None, results.stages, (kept_out, *others), None).level == "good"


def test_what_nobody_should_rely_on_is_said(results: Results) -> None:
    first, second, *others = results.photos
    lost = tuple(replace(photo, registered=False, reason="It shares nothing.") for photo in (second, *others))
    verdict = judge("complete", "cameras", results.stages, (first, *lost), None)
    assert verdict.level == "doubtful"
    assert verdict.text == "do not rely on it: only 1 of 4 photos go together"
    assert (verdict.exit_code(strict=True), verdict.exit_code(strict=False)) == (1, 0)
    unread = tuple(replace(photo, image=None) for photo in lost)
    assert judge("complete", None, results.stages, (first, *unread), None).level == "usable"
    loose = tuple(replace(photo, reprojection_px=3.0) for photo in (first, second, others[0]))
    verdict = judge("complete", None, results.stages, (*loose, *others[1:]), None)
    assert verdict.text == "do not rely on it: the points of 3 of 4 photos lie more than 2 px off"
    guessed = tuple(replace(photo, probability=0.4) for photo in (first, second, others[0]))
    verdict = judge("complete", None, results.stages, (*guessed, *others[1:]), None)
    assert verdict.text == "do not rely on it: the places of 3 of 4 photos are more probably wrong than right"
    doubted = tuple(
        replace(stage, facts={**stage.facts, "doubted_given": [["a", "b"]]}) if stage.name == "cameras" else stage
        for stage in results.stages
    )
    verdict = judge("complete", None, doubted, results.photos, None)
    assert verdict.text == "do not rely on it: what the photos share contradicts their given poses"


def test_the_manifest_holds_the_same_verdict(results: Results) -> None:
    stored = json.loads((results.out / "manifest.json").read_text())["verdict"]
    assert RunVerdict(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}) == (
        results.verdict
    )


def test_a_run_that_has_not_ended_is_no_good_one(results: Results) -> None:
    stages = tuple(replace(s, status="running") if s.name == "splat" else s for s in results.stages)
    running = judge("running", None, stages, results.photos, None)
    assert running.level == "failed"
    assert running.sentence == (
        "The run has not ended, or was killed, at stage `splat`; the same command continues it."
    )
    failure = Failure("ReconstructionError", "There is no overlap.", "Take more photos.")
    stages = tuple(replace(s, status="failed", failure=failure) if s.name == "photos" else s for s in stages)
    interrupted = judge("interrupted", None, stages, (), None)
    between = judge("failed", None, results.stages, results.photos, None)
    assert between.sentence == "The run failed between its stages; the same command continues it."
    assert between.level == "failed"
    assert interrupted.sentence == "The run was interrupted at stage `photos`; the same command continues it."


def test_ignored_pixels_do_not_count_in_the_psnr(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = rng.uniform(0.2, 0.8, (40, 60, 3)).astype(np.float32)
    rendered = photo + np.float32(0.1)
    mask = np.zeros((40, 60), bool)
    mask[:, :45] = True
    rendered[~mask] = 1 - photo[~mask]
    write_png(tmp_path / "a.png", compared(photo, rendered, mask))
    found = read_comparison(tmp_path / "a.png")
    assert found.counts[mask].all()
    assert found.counts[~mask].mean() < 0.1, "only pixels that happen to err by the grey of ignored ones"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "{"),
        ("manifest.json", '{"schema": 1}'),
        ("cameras/cameras.json", "[]"),
        ("splat/training.json", ""),
    ],
)
def test_damaged_files_are_named(room: tuple[Path, Path], tmp_path: Path, file: str, content: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(room[1], out)
    (out / file).write_text(content)
    with pytest.raises(InputError):
        read_results(out)


def test_artifacts_of_an_earlier_run_do_not_count_and_licences_do(room: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(room[1], out)
    manifest = json.loads((out / "manifest.json").read_text())
    for name in ("splat", "mesh", "renders"):
        manifest["stages"][name]["status"] = "skipped"
    told = {"licence": "Weights under CC BY-NC-SA 4.0: not for commercial use."}
    manifest["stages"]["pointmaps"] = {**manifest["stages"]["cameras"], "facts": told}
    (out / "manifest.json").write_text(json.dumps(manifest))
    found = read_results(out)
    assert not found.finished("splat")
    assert found.weights[-1].licence == "Weights under CC BY-NC-SA 4.0: not for commercial use"
    assert all(photo.psnr_db is None and photo.render is None for photo in found.photos)
    assert "splat/splat.ply" not in [file.path for file in found.files]
    assert "cameras/sparse/0" in [file.path for file in found.files]


def test_reading_loads_no_torch() -> None:
    code = "import sys, fewview.apps.results; sys.exit(bool({'torch', 'pycolmap', 'open3d'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
