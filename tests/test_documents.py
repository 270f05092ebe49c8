"""What the documents name is there, what they tell to type works, and the messages that they explain are said."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import imageio
import numpy as np
import pytest
from quick import quick_preset

from fewview.apps.cli import main
from fewview.apps.pipeline import PRESETS
from fewview.data.people import CaptureConfig, Walker, capture, ring
from fewview.recon.stage import resolve

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"))
NAME = re.compile(r"(?<![\w/.])((?:apps|calibration|data|layout|recon|splatting)(?:\.\w+)+)(?![\w/])")
FILE = re.compile(
    r"(?<![\w/.<$])((?:apps|calibration|data|docs|fewview|layout|recon|scripts|splatting|tests)/[\w/]*[\w.]+\.(?:py|md|cpp|hpp))"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_and_files_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    gone = [name for name in sorted(set(NAME.findall(text))) if not _exists(name)]
    gone += [name for name in sorted(set(FILE.findall(text))) if not (REPOSITORY / name).exists()]
    assert gone == []


def test_files_that_comments_name_are_there() -> None:
    sources = [path for path in REPOSITORY.glob("*/**/native/*") if path.is_file()]
    named = {(name, path.name) for path in sources for name in FILE.findall(path.read_text(encoding="utf-8"))}
    assert {pair for pair in named if not (REPOSITORY / pair[0]).exists()} == set()


def _exists(name: str) -> bool:
    """Whether it is a module, or something in one."""
    if name.rpartition(".")[2] in ("json", "svg", "dxf", "glb", "ifc", "toml"):
        return True  # a file of a stage, such as layout.json
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            continue
        if found:
            return end == len(parts) or _has(module, ".".join(parts[end:]))
    return False


def _has(module: str, name: str) -> bool:
    try:
        resolve(f"{module}:{name}")
    except AttributeError:
        return False
    except TypeError:  # a constant
        return True
    return True


LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def _anchors(path: Path) -> set[str]:
    """As both the site and code hosts make them of headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or anchor in _anchors(path), f"{target}#{anchor}"


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").split()) <= 500


def _blocks(language: str, document: Path) -> list[str]:
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _commands(document: Path) -> list[list[str]]:
    """What is typed after `fewview`, also where another program starts it."""
    lines = [line for block in _blocks("sh", document) for line in block.replace("\\\n", " ").splitlines()]
    told = [found for line in lines for found in re.findall(r"(?:^|exec |-- +)fewview (?!\.)([^'#]*)", line)]
    return [shlex.split(words) for words in told]


TYPED = [document for document in DOCUMENTS if _commands(document)]
PLANNED = {"run", "batch", "calibrate", "demo"}
"""Commands that take a dry run, which reads the input and plans the stages."""
DONE = {
    "export": (),
    "pictures": ("--size", "64"),
    "report": (),
    "models": (),
    "render": ("--size", "64x48", "--fps", "2"),
}
"""Commands that are done, with what makes them quick."""
PARSED = {"app", "view", "doctor", "evaluate", "overlay", "benchmark", "bench", "synth", "models fetch", "batch status"}
"""Commands that would go on, take minutes, fetch or need more than there is here."""


@pytest.fixture
def place(room: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder that the documents speak of: photos, a finished run, scenes, a rig."""
    (tmp_path / "photos").mkdir()
    known = (room[1] / "cameras" / "transforms.json").read_text()
    for photo, name in zip(sorted((room[0] / "images").iterdir()), "ABCD", strict=True):
        shutil.copy(photo, tmp_path / "photos" / f"{name}.jpg")
        known = known.replace(photo.name, f"{name}.jpg")
    (tmp_path / "transforms.json").write_text(known)
    shutil.copytree(room[1], tmp_path / "room")
    for folder in ("scenes/kitchen", "scenes/hall"):
        shutil.copytree(tmp_path / "photos", tmp_path / folder)
    (tmp_path / "rig").mkdir()
    for seen in capture(ring(2, seed=0), [Walker(1.8, 1)], CaptureConfig(duration_s=4), seed=0).detections:
        arrays = {"xy": seen.xy, "confidence": seen.confidence, "size": seen.size, "fps": seen.fps}
        np.savez(tmp_path / "rig" / f"{seen.camera}.npz", **arrays)  # type: ignore[arg-type]
        imageio.mimwrite(tmp_path / "rig" / f"{seen.camera}.mp4", np.zeros((3, 48, 64, 3), np.uint8), fps=30)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", TYPED, ids=lambda path: path.name)
def test_commands_do_what_they_say(document: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "n")
    for words in _commands(document):
        words = [os.path.expandvars(word) for word in words]
        name = " ".join(words[:2]) if " ".join(words[:2]) in PARSED else words[0]
        if name in PLANNED:
            assert main([*words, "--dry-run"]) == 0, words
        elif name in DONE:
            assert main([*words, *DONE[name]]) == 0, words
            shutil.rmtree("files", ignore_errors=True)  # several lines name it
        else:
            assert name in PARSED, words
            importlib.import_module(f"fewview.apps.commands.{words[0]}").parse(words[1:])


def test_a_saved_file_is_what_the_quickstart_shows(place: Path) -> None:
    document = REPOSITORY / "docs" / "quickstart.md"
    [saving] = [words for words in _commands(document) if "--save" in words]
    assert main(saving) == 0
    [shown] = _blocks("toml", document)
    assert tomllib.loads(Path("run.toml").read_text()) == tomllib.loads(shown)


def test_make_has_what_is_made() -> None:
    rules = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    typed = [block for document in DOCUMENTS for block in _blocks("sh", document)]
    typed += [span for document in DOCUMENTS for span in re.findall(r"`(make [^`]*)`", document.read_text())]
    made = {rule for text in typed for rule in re.findall(r"^make ([a-z]+)", text, re.MULTILINE)}
    assert made <= set(rules)
    assert {"demo", "test", "docs"} <= set(rules)


def test_options_in_the_text_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a command in backticks, and those alone."""
    helps = {}
    for command in ("app", "batch", "benchmark", "bench rasteriser", "bench thresholds", "bench ingredients"):
        helps[command] = _options(command, capsys)
    for command in ("calibrate", "evaluate", "export", "pictures", "render", "run", "synth rooms"):
        helps[command] = _options(command, capsys)
    helps["run"] |= _options("run --cameras keypoints", capsys) | {"--layout.hints"}
    helps["benchmark"] |= _options("benchmark --structured3d x", capsys)
    all_of_them = set.union(*helps.values(), {"--help-all", "--version", "--no-layout"})
    for document in DOCUMENTS:
        for span in re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8")):
            options = {found.rstrip(".") for found in re.findall(r"(?<![\w-])--[a-z][\w.-]*", span)}
            if span.startswith("fewview "):
                known = next((helps[name] for name in helps if span.startswith(f"fewview {name}")), all_of_them)
                assert options <= known | {"--help", "--help-all", "--version"}, (document.name, span)
            elif span.startswith("--"):
                assert options <= all_of_them | OTHERS, (document.name, span)


OTHERS = {"--find-links", "--requeue", "--signal", "--with"}
"""Options of other programs."""


def _options(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    tiered = command.split()[0] in ("batch", "benchmark", "demo", "run")
    with pytest.raises(SystemExit):
        main([*command.split(), "--help-all" if tiered else "--help"])
    return set(re.findall(r"--[a-z][\w.-]*", capsys.readouterr().out))


PYTHON = [document for document in DOCUMENTS if _blocks("python", document) and document.name != "pointmaps.md"]
"""Where a network of another package is called, nothing can be run."""


@pytest.mark.parametrize("document", PYTHON, ids=lambda path: path.name)
def test_python_of_the_documents(
    document: Path, room: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block after block, as somebody would who reads the page."""
    monkeypatch.chdir(tmp_path)
    Path("photos").symlink_to(room[0] / "images")
    shutil.copytree(room[1], "room")
    monkeypatch.setitem(PRESETS, "fast", quick_preset())
    names: dict[str, object] = {}
    for block in _blocks("python", document):
        exec(compile(block, document.name, "exec"), names)


def _messages() -> Iterator[str]:
    """Every text in the sources, with a space where something is put in."""
    for folder in ("apps", "calibration", "layout", "recon", "splatting"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else " " for part in node.values]
                    yield "".join(map(str, parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_messages_that_are_explained_are_said() -> None:
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    titles = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    said = [" ".join(message.replace("`", "").split()) for message in _messages()]
    assert len(titles) > 30
    for title in titles:
        # Words in capitals stand for what the program puts in.
        parts = [part.strip(" `") for part in re.split(r"\b[A-Z][A-Z,@]+\b|\b[A-Z]\b|\bWxH\b|\bN\b", title)]
        pattern = re.compile(".*".join(re.escape(part) for part in parts if part))
        assert any(pattern.search(message) for message in said), title
