"""The table of thresholds: what is read, changed, put back and told, on a package with one room to measure."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from fewview.apps.benchmarks import thresholds
from fewview.apps.benchmarks.thresholds import as_markdown, measure, overridden, read_thresholds, scaled

SOURCE = '''
# Of the reach
REACH_M = 0.5
"""How far
it goes."""
STEPS = 1
"""At most."""
SPAN = (2.0, 3)
"""Nearest and farthest."""
APART = 1e-6
"""Of two places. (derived: rounding)"""
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = tmp_path / "toy_tolerances.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("toy_tolerances", path)
    assert spec is not None
    assert spec.loader is not None
    toy = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "toy_tolerances", toy)
    spec.loader.exec_module(toy)
    return toy


def test_constants_are_read_with_their_meaning(module: ModuleType) -> None:
    reach, steps, span = read_thresholds(module)
    assert (reach.name, reach.value, reach.meaning, reach.section) == (
        "REACH_M",
        0.5,
        "How far it goes.",
        "Of the reach",
    )
    assert steps.section == "Of the reach"
    assert scaled(steps.value, 0.5) == 1
    assert scaled(span.value, 2) == (4.0, 6)


def test_a_constant_is_put_back_even_after_an_error(module: ModuleType) -> None:
    def fails() -> None:
        with overridden(module, "REACH_M", 7):
            assert module.REACH_M == 7
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert module.REACH_M == 0.5


class _Trials:
    """More reach is better up to .8; without two steps nothing is found, with four the method breaks down."""

    scenes = "two rooms"

    def run(self, section: str) -> dict[str, dict[str, float]]:
        toy = sys.modules["toy_tolerances"]
        if toy.SPAN[1] > 4:
            raise ValueError("singular")
        return {"one": {"right": min(toy.REACH_M, 0.8)}, "two": {"right": 0.0, "told": 1.0}}


def test_what_moves_is_told(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "PACKAGES", {"toy": ("toy_tolerances", _Trials)})
    record = tmp_path / "record" / "toy.json"
    measure("toy", ["REACH_M"], record, Console(quiet=True))
    held = json.loads(record.read_text(encoding="utf-8"))
    assert list(held["constants"]) == ["REACH_M"]
    held["constants"]["REACH_M"]["changes"][1]["right"] = 0.75
    record.write_text(json.dumps(held), encoding="utf-8")
    page = as_markdown({"toy": measure("toy", [], record, Console(quiet=True))})
    assert "As they are: right .250, told 1." in page
    assert "| `REACH_M` | 0.5 | right -.125 | right +.750 | How far it goes. |" in page, "what is held is kept"
    assert "| `STEPS` | 1 | - | - | At most. |" in page
    assert "| `SPAN` | 2, 3 | - | told -1 | Nearest and farthest. |" in page
    assert "3 of 3 constants were measured; 1 of them move nothing in these scenes." in page
    assert module.SPAN == (2.0, 3)
