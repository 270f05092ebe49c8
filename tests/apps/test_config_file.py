"""`--help`, `--help-all`, and options in a file: one set of names, and which word counts."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fewview.apps import config_file
from fewview.apps.cli import main
from fewview.apps.commands import run
from fewview.apps.commands.run import Arguments
from fewview.apps.pipeline import PRESETS, RIG, SPECS

SAID = """\
--preset fast --cameras known:a/b.json --intrinsics 900 --scale A.jpg:B.jpg=1.5 --photos.masks "m \\"1\\"" --until mesh
--force depth splat --no-layout --strict --splat.steps 7 --splat.view-weights A.jpg 0.5 B.jpg 0 --depth.no-completion
--cameras.fields-of-view-deg 50 70.5 --layout.long-side 640"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative paths, so that lines of error texts can be told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.json").write_text("{}")
    return tmp_path


def _help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["run", *words]) == 2
    return capsys.readouterr().err


def test_help_fits_a_screen_and_names_what_there_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = _help(capsys, "run", "photos", "--help")
    lines = page.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert not re.search("people's|--keypoints|--motion", page)
    named = set(re.findall(r"--([a-z][a-z.-]*)", page)) - {"help", "help-all", "no-layout"}
    options = dict(config_file.names(Arguments))
    assert named <= set(options)
    assert set(options) - named == {name for name in options if "." in name} | {"layout", "photos"}
    stages = [name for name, spec in SPECS.items() if spec not in RIG and name != "pointmaps"]
    told = re.search(r"stop after ([\w\s,]+)\n  --from", page)
    assert told is not None
    assert re.findall(r"\w+", told[1].replace(" or ", " ")) == stages


def test_help_all_lists_every_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {name for name, _ in config_file.names(Arguments)} - {"photos"}

    def listed(*words: str) -> set[str]:
        lines = _help(capsys, "run", *words).splitlines()
        return {name for line in lines for name in re.findall(r"--([a-z][a-z.-]*)", line) if line.startswith("  --")}

    people = {name for name in names if re.match(r"(keypoints|motion|moment)\.", name)}
    said = {name for name in listed("--help-all") if not re.search(r"(^|\.)no-", name)} - {"prior"}
    assert said == names - people
    assert listed("--cameras", "keypoints", "--help-all") >= names
    for command in ("demo", "batch", "benchmark"):
        assert "--splat." not in (short := _help(capsys, command, "--help"))
        assert "--preset" in short
        assert "--splat.steps" in _help(capsys, command, "--help-all")


def test_a_file_says_what_the_command_line_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(SAID)
    said = run.parse(["photos", "b.jpg", "--out", "out", *words])
    run._save(said, Path("run.toml"), Console(stderr=True))
    again = run.parse(["--config", "run.toml"])
    assert again == replace(said, config=Path("run.toml"))
    assert capsys.readouterr().err == "Written: fewview run --config run.toml\n"
    assert len(Path("run.toml").read_text().splitlines()) == 3 + len(re.findall(r"--(?!preset)", SAID))


def test_the_command_line_counts_before_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.toml").write_text('photos = "a"\nout = "out"\npreset = "fast"\n"splat.steps" = 7\nmesh.long-side = 99\n')
    plain = run.parse(["--config", "run.toml"])
    assert (plain.photos, plain.out, plain.stages.preset) == ((Path("a"),), Path("out"), "fast")
    best = run.parse(["b", "c", "--config", "run.toml", "--preset", "best", "--splat.steps", "8"])
    assert (best.photos, best.out, best.stages.preset) == ((Path("b"), Path("c")), Path("out"), "best")
    options, usual = best.stages.options, PRESETS["best"]
    assert (options.splat, options.depth) == (replace(usual.splat, steps=8), usual.depth)
    assert options.mesh.long_side == 99  # what the file says counts before any preset
    run._tell_config(best, Console(stderr=True))
    assert capsys.readouterr().err.splitlines() == [
        "Options of run.toml: photos, out, preset, splat.steps, mesh.long-side.",
        'The command line counts before it: photos is ["b", "c"] (not ["a"]).',
        'The command line counts before it: preset is "best" (not "fast").',
        "The command line counts before it: splat.steps is 8 (not 7).",
    ]
    Path("half.toml").write_text('preset = "fast"\n')
    assert run.parse(["b", "--out", "o", "--config", "half.toml"]).stages.preset == "fast"
    with pytest.raises(SystemExit):
        run.parse(["b", "--config", "half.toml"])
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '"splat.step" = 7\n',
            "Error: run.toml: there is no option `splat.step`.\n"
            "Remedy: Did you mean `splat.steps`? `fewview run --help-all` lists them.\n",
        ),
        (
            'photos = "a"\nresolution_of_everything = 7\n',
            "Error: run.toml: there is no option `resolution_of_everything`.\n"
            "Remedy: `fewview run --help-all` lists them.\n",
        ),
        (
            "dry-run = true\n",
            "Error: run.toml: `dry-run` is said on the command line.\nRemedy: Take that line out.\n",
        ),
        (
            '"splat.steps" = "many"\n',
            "Error: run.toml: Error parsing --splat.steps: invalid literal for int() with base 10: 'many'.\n"
            "Remedy: Correct it; `fewview run --help-all` says how.\n",
        ),
        (
            'scale = "two metres"\n',
            "Error: run.toml: --scale two metres is no known length.\nRemedy: Write A.jpg:B.jpg=METRES, or for each "
            "end a point picked in two photos: A.jpg@X,Y+B.jpg@X,Y.\n",
        ),
        (
            "photos = 7\n",
            'Error: run.toml: `photos` is no path, and no list of them.\nRemedy: Write photos = ["a.jpg", "b.jpg"].\n',
        ),
        (
            'out = ["a", "b"]\n',
            "Error: run.toml: there is a list where one value belongs: `out`.\nRemedy: Keep one value.\n",
        ),
        (
            "photos = \n",
            "Error: run.toml is not TOML: Invalid value (at line 1, column 10).\n"
            'Remedy: Write one option a line, such as "splat.steps" = 600.\n',
        ),
    ],
    ids=["near", "far", "not here", "value", "meaning", "no photos", "list", "no TOML"],
)
def test_what_a_file_may_not_say(here: Path, capsys: pytest.CaptureFixture[str], text: str, says: str) -> None:
    Path("run.toml").write_text(text)
    assert _error(capsys, "photos", "--out", "out", "--config", "run.toml") == says


def test_saving_goes_with_a_dry_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("photos", "--out", "out", "--save", "run.toml")
    assert "Error: --save goes with --dry-run.\nRemedy: Add --dry-run; " in _error(capsys, *words)
    assert "Error: There is no nowhere.toml.\n" in _error(capsys, *words[:3], "--config", "nowhere.toml")
    assert not Path("run.toml").exists()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"fewview \d+\.\d+\.\d+\n", capsys.readouterr().out)
