"""The examples do what they say, on synthetic photos."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
from quick import quick_preset

from fewview.apps.pipeline import PRESETS

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def here(room: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `photos`, a finished run `out` and two `scenes`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "fast", quick_preset())
    shutil.copytree(room[0] / "images", "photos")
    for run in ("out", "cameras/found", "cameras/known"):
        shutil.copytree(room[1], run)
    for scene in ("hall", "outdoor"):
        (tmp_path / "scenes" / scene).mkdir(parents=True)
        for photo in sorted(Path("photos").iterdir()):
            shutil.copy(photo, Path("scenes") / scene)
    return tmp_path


RUNS = (
    ("01_photos.py", "photos out", r"good\nroom_00.jpg: placed\n(.*\n)*Open out/report.html\n"),
    (
        "02_cameras.py",
        "photos cameras",
        r"room_00.jpg: 1024x768, f = .*(.*\n)*units: unknown\nroom_00.jpg moved by [\d.]+e-\d\d\n",
    ),
    ("03_depth.py", "out points.ply", r"(room_0\d.jpg: \d{4,} of \d+ pixels are sure\n){4}"),
    ("04_splat.py", "out view.png", r"\d+ Gaussians\ngradient of the mean colour by the pose: tensor"),
    ("05_room.py", "out", r"(Lengths are in metres .*|The scale is a guess: .*)\n\d+\.\d\d m², .*\nwall 1: |No room: "),
    ("06_people.py", "people", r"(cam\d+: \d\.\d+ m from cam\d+ .*\n){3}\d+ frames at 30 Hz, 1 person, \d+ joints\n"),
    ("07_many.py", "scenes many --dry-run", ""),
    ("08_cluster.py", "scenes many --dry-run", ""),
)


@pytest.mark.parametrize(("name", "words", "says"), RUNS, ids=[name for name, _, _ in RUNS])
def test_example(
    name: str, words: str, says: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [name, *words.split()])
    ended: object = 0
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    except SystemExit as stopped:
        ended = stopped.code
    printed = capsys.readouterr().out if ended == 0 else str(ended)
    assert re.match(says, printed), printed


def test_examples_are_short_and_none_is_left_out() -> None:
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert [script.name for script in scripts] == [name for name, _, _ in RUNS]
    assert max(len(script.read_text().splitlines()) for script in scripts) < 40


def test_the_notebook(here: Path, room: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells in order, on the photos and the run that there are."""
    cells = json.loads((EXAMPLES / "room.ipynb").read_text(encoding="utf-8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    first = re.sub(r"^write_scene\(.*\n", "", codes[0], flags=re.MULTILINE)  # takes seconds: they are there
    assert first != codes[0]
    shutil.copytree(room[0], "notebook/room")
    shutil.move("out", "notebook/run")
    names: dict[str, object] = {}
    for code in [first, *codes[1:]]:
        exec(compile(code, "room.ipynb", "exec"), names)
    assert capsys.readouterr().out.startswith("good\nmetres per scene unit, between neighbours: [")
