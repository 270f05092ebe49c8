"""The public face: what `import fewview` offers, held against the exact truth of a synthetic room."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from quick import quick_preset

import fewview
from fewview.data.photosets import load_photoset

_FACE = Path(fewview.__file__)


def test_importing_loads_nothing_and_every_name_is_there() -> None:
    # Finding it comes first: what an editable install needs for that is none of the program's.
    script = """if True:
        import importlib.util, sys
        importlib.util.find_spec("fewview")
        before = set(sys.modules)
        import fewview
        print(*sorted(set(sys.modules) - before))
    """
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"__future__", "fewview"}
    assert sorted(dir(fewview)) == sorted(fewview.__all__)
    assert all(getattr(fewview, name) is not None for name in fewview.__all__)
    assert not hasattr(fewview, "Photo")


def test_checkers_are_told_the_names_that_python_finds() -> None:
    told = next(node for node in ast.parse(_FACE.read_text()).body if isinstance(node, ast.If))
    homes = {
        alias.name: importlib.import_module(str(node.module))
        for node in told.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted([*homes, "__version__"]) == sorted(fewview.__all__)
    assert all(getattr(home, name) is getattr(fewview, name) for name, home in homes.items())


def test_reading_a_run_loads_no_torch(room: tuple[Path, Path]) -> None:
    script = f"import sys, fewview; fewview.open_run({str(room[1])!r}).cameras; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def test_a_run_made_from_python_is_that_of_the_command(
    room: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = room[0] / "images", shutil.copytree(room[1], tmp_path / "run")
    quick = quick_preset()
    steps: list[fewview.Step] = []
    run = fewview.reconstruct(photos, out, preset=quick, progress=steps.append)
    assert {stage.status for stage in run.results.stages} == {"cached"}
    assert run.results.arguments == ("(from Python)",)
    assert (steps, capsys.readouterr().err) == ([], "")

    files = sorted(map(str, photos.iterdir()))[:3]
    run = fewview.reconstruct(files, tmp_path / "three", preset="fast", until="photos", progress=steps.append)
    assert [photo.name for photo in run.photos] == [Path(file).name for file in files]
    assert {step.stage for step in steps} == {"photos"}
    assert (run.out / "report.html").is_file()
    with pytest.raises(fewview.FewviewError, match=r"has no `splat`: skipped \(not needed for --until photos\)\. Give"):
        run.splat()


def test_what_a_run_holds_agrees_with_the_truth(room: tuple[Path, Path]) -> None:
    truth, run = load_photoset(room[0]), fewview.open_run(room[1])
    centers = np.stack([run.cameras.view(view.name).center for view in truth.views])
    true_centers = np.stack([view.center for view in truth.views])
    pairs = [np.linalg.norm(c[:, None] - c[None], axis=-1)[np.triu_indices(len(c), 1)] for c in (centers, true_centers)]
    metres = float(np.median(pairs[1] / pairs[0]))
    assert [photo.registered for photo in run.photos] == [True] * len(truth.views)

    for view in truth.views:
        found = run.depth(view.name)
        with np.load(room[0] / "truth" / f"{Path(view.name).stem}.npz") as file:
            true_depth = file["depth"]
        height, width = found.depth.shape
        assert (found.view.camera.width, found.view.camera.height) == (width, height)
        rows = ((np.arange(height) + 0.5) * true_depth.shape[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * true_depth.shape[1] / width).astype(int)
        relative = np.abs(found.depth * metres / true_depth[np.ix_(rows, columns)] - 1)
        assert np.nanmedian(relative[found.source == 1]) < 0.02
        assert (np.isnan(found.depth) == (found.source == 0)).all()

    splat, view = run.splat(), run.refined_cameras.views[0]
    T_camera_world = torch.tensor(view.T_camera_world, dtype=torch.float32)
    picture = fewview.rasterize(splat, T_camera_world, view.camera.pinhole().fitted(256), antialiased=True)
    depth = picture.depth / picture.alpha
    known = run.depth(view.name)
    assert picture.image.shape == (*known.depth.shape, 3)
    assert np.nanmedian(np.abs(depth.numpy() / known.depth - 1)[picture.alpha.numpy() > 0.9]) < 0.03

    low, high = splat.means.quantile(0.01, dim=0).numpy(), splat.means.quantile(0.99, dim=0).numpy()
    inside = ((run.mesh().vertices > low) & (run.mesh().vertices < high)).all(1)
    assert inside.mean() > 0.9
    layout, document = run.room(), json.loads((room[1] / "layout" / "layout.json").read_text())
    assert (layout is not None) == document["room"]
    assert layout is None or layout.area == pytest.approx(document["area"])


def test_what_cannot_be_had_is_said(room: tuple[Path, Path], tmp_path: Path) -> None:
    run = fewview.open_run(room[1])
    for call, says in (
        (lambda: fewview.open_run(tmp_path), "is not the folder of a run"),
        (lambda: fewview.reconstruct(room[0], tmp_path, preset="fats"), "'fats' is no preset. Choose from: fast, "),  # type: ignore[arg-type]
        (lambda: run.depth("nobody.jpg"), "nobody.jpg is no placed photo of .* Choose from: "),
        (run.motion, "has no stage `motion`. Its stages: photos, matches, cameras, "),
    ):
        with pytest.raises(fewview.FewviewError, match=says):
            call()
