"""What the documents name is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

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
