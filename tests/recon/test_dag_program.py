"""The program's part of a key: what a stage can import, and nothing else."""

from __future__ import annotations

import ast
import importlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dag_toys import Told, tell
from rich.console import Console

import fewview.recon
from fewview.apps.pipeline import SPECS
from fewview.recon.dag import Manifest, Stage, program, run_stages
from fewview.recon.stage import import_path

FILES = {
    "house/__init__.py": "from house.names import *\n",
    "house/names.py": "",
    "house/stage.py": """
import house.deep.far as far; import os
def run(inputs, config, out, progress):
    from . import (  # a reason (of its own),
        lazy,
        said as spoken,
    )
    (out / "text.txt").write_text(lazy.TEXT)
""",
    "house/lazy.py": "from pathlib import Path\nTEXT = (Path(__file__).parent / 'page.html').read_text()\n",
    "house/page.html": "page",
    "house/other.html": "nobody names it",
    "house/said.py": "",
    "house/deep/__init__.py": "",
    "house/deep/far.py": "from ..deep.near import thing\nfrom house import \\\n    late\n",
    "house/deep/near.py": "thing = 1\n",
    "house/deep/_kernels.so": "machine code",
    "house/late.py": "import numpy.linalg\n",
    "house/unused.py": "",
    "neighbour/__init__.py": "",
}
COUNT = {"house/stage.py", "house/__init__.py", "house/names.py", "house/lazy.py", "house/page.html",
         "house/said.py", "house/deep/__init__.py", "house/deep/far.py", "house/deep/near.py", "house/deep/_kernels.so",
         "house/late.py"}  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stage of somebody else's project, on the path."""
    folder = tmp_path / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    yield folder
    forget()


def forget() -> None:
    """As a new process would start."""
    for name in [name for name in sys.modules if name.split(".")[0] == "house"]:
        del sys.modules[name]
    for cached in (program._closure, program._module, program._others, program._names_in):
        cached.cache_clear()
    program._SEEN.clear()
    importlib.invalidate_caches()


def go(out: Path, run: str = "house.stage:run") -> Manifest:
    forget()
    return run_stages([Stage("toy", run)], out, console=Console(file=io.StringIO()))


def test_what_a_stage_can_import_counts(house: Path) -> None:
    found = program.sources_of("house.stage:run")
    assert set(found) == COUNT
    forget()
    assert program.sources_of("house.unused:run").keys() == {
        "house/__init__.py",
        "house/names.py",
        "house/unused.py",
    }


@pytest.mark.parametrize("name", sorted(COUNT))
def test_a_change_of_what_it_can_import_makes_it_anew_and_says_so(house: Path, tmp_path: Path, name: str) -> None:
    go(tmp_path / "out")
    with (house / name).open("a") as file:
        file.write("\n# changed\n")
    entry = go(tmp_path / "out").stages["toy"]
    assert (entry.status, entry.reason) == ("ok", f"the program changed ({name})")
    assert go(tmp_path / "out").stages["toy"].reason == "up to date"


def test_a_change_of_anything_else_does_not(house: Path, tmp_path: Path) -> None:
    go(tmp_path / "out")
    for name in FILES.keys() - COUNT:
        (house / name).write_text("anything = 1")
    (house / "house" / "added.py").write_text("")
    assert go(tmp_path / "out").stages["toy"].status == "cached"


def test_what_the_key_says_is_the_same_elsewhere(house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = program.program_digest("house.stage:run")
    shutil.move(house, tmp_path / "moved")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "moved"), *sys.path])
    forget()
    assert program.program_digest("house.stage:run") == here


def test_several_changes_are_counted(house: Path, tmp_path: Path) -> None:
    go(tmp_path / "out")
    (house / "house" / "deep" / "_kernels.so").unlink()
    (house / "house" / "names.py").write_text("from house import unused")
    entry = go(tmp_path / "out").stages["toy"]
    assert entry.reason == "the program changed (house/deep/_kernels.so and 2 more)"


def test_a_program_that_changed_while_its_stage_ran_is_not_taken_for_known(house: Path, tmp_path: Path) -> None:
    path = house / "house" / "stage.py"
    text = path.read_text()
    path.write_text(text + f"    open({str(path)!r}, 'a').write('# edited')\n")
    console = Console(file=io.StringIO(), width=200)
    forget()
    run_stages([Stage("toy", "house.stage:run")], tmp_path / "out", console=console)
    assert "toy: the program changed while it ran, so the next run makes it anew" in console.file.getvalue()  # type: ignore[attr-defined]
    path.write_text(text)
    assert go(tmp_path / "out").stages["toy"].reason == "the program changed"
    assert go(tmp_path / "out").stages["toy"].reason == "up to date"


def test_a_record_of_an_older_program_is_made_anew(house: Path, tmp_path: Path) -> None:
    go(tmp_path / "out")
    record = tmp_path / "out" / "toy" / ".stage.json"
    stored = json.loads(record.read_text())
    stored["ingredients"]["version"] = stored["ingredients"].pop("program") and 2
    record.write_text(json.dumps(stored | {"key": "of those"}))
    assert go(tmp_path / "out").stages["toy"].reason == "the program changed"


def test_a_function_without_a_source_is_refused() -> None:
    exec(compile("def run(inputs, config, out, progress): pass", "<typed>", "exec"), space := {"__name__": "typed"})
    with pytest.raises(ValueError, match="the module typed has no source file"):
        program.sources_of(space["run"])


def test_a_stage_of_a_single_file_counts_what_it_imports_of_the_project() -> None:
    found = program.sources_of(tell)
    assert {"dag_toys.py", "recon/progress.py", "recon/errors.py"} <= found.keys()
    assert import_path(tell) == "dag_toys:tell"
    assert Told().notes == ()


def test_the_quick_reading_of_imports_misses_none_that_python_finds() -> None:
    home = Path(fewview.recon.__path__[-1]).parent
    tops = frozenset(path.parent.name for path in home.glob("*/__init__.py"))
    assert {"recon", "splatting", "layout", "calibration"} <= tops
    read = 0
    for path in (path for top in tops for path in (home / top).rglob("*.py")):
        package = ".".join(path.relative_to(home).parent.parts)
        quick = set(program._imported(path.read_bytes(), package, tops))
        wanted = {name.removeprefix("fewview.") for name in _by_python(ast.parse(path.read_bytes()), package)}
        assert {name for name in wanted if name.split(".")[0] in tops} <= quick, path
        read += len(wanted)
    assert read > 1000


def _by_python(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [node.module])]
            )
            base = base if node.level else str(node.module)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def test_no_stage_hides_an_import() -> None:
    """Imports that are put together while the program runs escape the closure."""
    home = Path(fewview.recon.__path__[-1]).parent
    for spec in SPECS.values():
        for source in program.sources_of(spec.run):
            if source.endswith(".py") and source != "recon/stage.py":
                text = (home / source).read_text(encoding="utf-8")
                assert "import_module(" not in text, (spec.name, source)
                assert "__import__(" not in text, (spec.name, source)
