"""What every threshold of a package is worth: halved and doubled, on scenes that it was not chosen on."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from fewview.apps.benchmarks.depth_trials import DepthTrials
from fewview.apps.benchmarks.layout_trials import LayoutTrials

FACTORS = (0.5, 2.0)
_DERIVED = "(derived"
_NOTICED = 0.002
"""Change of a share (.2 %) from which on a figure has moved: below, a dozen pixels or a wall's centimetre changed."""

Value = int | float | tuple[int | float, ...]


class Trials(Protocol):
    """Scenes with exact truth, and what a package makes of them."""

    scenes: str
    """Which, in words."""

    def run(self, section: str) -> dict[str, dict[str, float]]:
        """Figures by scene, such as shares of what is right.

        Args:
            section: of the constant that is changed: scenes that cannot tell may be left out. Empty: all.
        """
        ...


PACKAGES: Mapping[str, tuple[str, type[Trials]]] = {
    "layout": ("fewview.layout.tolerances", LayoutTrials),
    "depth": ("fewview.recon.depth.tolerances", DepthTrials),
}


@dataclass(frozen=True)
class Threshold:
    """A constant of a `tolerances.py`."""

    name: str
    value: Value
    meaning: str
    section: str
    """The comment that it stands under."""


def read_thresholds(module: ModuleType) -> list[Threshold]:
    """The constants of a module in its order, with their docstrings; those that are derived or no numbers left out."""
    source = inspect.getsource(module)
    lines, body = source.splitlines(), ast.parse(source).body
    found, section = [], ""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if lines[node.lineno - 2].startswith("# "):
            section = lines[node.lineno - 2][2:]
        name = node.targets[0].id
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            raise ValueError(f"{name} of {module.__name__} has no docstring")
        meaning = " ".join(str(after.value.value).split())
        value = getattr(module, name)
        if _DERIVED not in meaning and isinstance(value, int | float | tuple):
            found.append(Threshold(name, value, meaning, section))
    return found


def scaled(value: Value, factor: float) -> Value:
    """A constant, or each of several, times a factor; whole numbers stay whole and do not become 0."""
    if isinstance(value, tuple):
        return tuple(_scaled(each, factor) for each in value)
    return _scaled(value, factor)


def _scaled(value: int | float, factor: float) -> int | float:
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


@contextmanager
def overridden(module: ModuleType, name: str, value: Value) -> Iterator[None]:
    """A constant of a module at another value, and back again."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def measure(package: str, constants: Sequence[str], record: Path, console: Console) -> dict[str, Any]:
    """Runs the trials with every constant halved and doubled; what `record` holds of the same value is not run again.

    Args:
        package: one of `PACKAGES`.
        constants: which; all where there are none.
        record: JSON, rewritten after each constant.

    Returns:
        `scenes`; `as_they_are`, the figures by scene; `all`, how many constants there are; and `constants`, by name
        their `value`, `meaning`, `section` and `changes`: of every figure, halved and doubled. A change that ends in an
        error counts as a loss of all.
    """
    path, kind = PACKAGES[package]
    module = importlib.import_module(path)
    thresholds = read_thresholds(module)
    measured: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {"constants": {}}
    held = {
        t.name: entry | {"meaning": t.meaning, "section": t.section}
        for t in thresholds
        if (entry := measured["constants"].get(t.name)) and _same(entry, t)
    }
    measured["constants"] = held
    pending = [t for t in thresholds if t.name not in held and (not constants or t.name in constants)]
    if pending:
        trials = kind()
        if "as_they_are" not in measured:
            measured |= {"scenes": trials.scenes, "as_they_are": trials.run("")}
    for number, threshold in enumerate(pending, 1):
        console.print(f"{package} {number} of {len(pending)}: {threshold.name}")
        changes = [_changes(module, trials, threshold, factor, measured["as_they_are"]) for factor in FACTORS]
        held[threshold.name] = {
            "value": threshold.value,
            "meaning": threshold.meaning,
            "section": threshold.section,
            "changes": changes,
        }
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return measured | {"all": len(thresholds)}


def _same(entry: Mapping[str, Any], threshold: Threshold) -> bool:
    value = threshold.value
    return bool(entry["value"] == (list(value) if isinstance(value, tuple) else value))


def _changes(
    module: ModuleType, trials: Trials, threshold: Threshold, factor: float, usual: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    with overridden(module, threshold.name, scaled(threshold.value, factor)):
        try:
            figures = trials.run(threshold.section)
        except (ArithmeticError, IndexError, ValueError):
            # At such a value the method may lose its footing: that is what it moves.
            figures = {scene: dict.fromkeys(row, 0.0) for scene, row in usual.items()}
    return means({scene: {name: row[name] - usual[scene][name] for name in row} for scene, row in figures.items()})


def means(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Of every figure, over the scenes that have it."""
    names = sorted({name for row in rows.values() for name in row})
    return {name: float(np.mean([row[name] for row in rows.values() if name in row])) for name in names}


def as_markdown(packages: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/thresholds.md: what moves, and how many constants nothing notices.

    Args:
        packages: what `measure` returned, by package.
    """
    lines = [
        "# What thresholds are worth",
        "",
        "Written by `fewview bench thresholds`: constants of the packages' `tolerances.py` halved and doubled, on",
        "scenes that none was chosen on. A cell names the figure that changed most and by how much, or is `-` where",
        "none moved by .002; constants that follow from others are left out. What moves nothing here may guard against",
        "what these scenes do not show.",
    ]
    for package, measured in packages.items():
        usual = ", ".join(f"{name} {_plain(value)}" for name, value in means(measured["as_they_are"]).items())
        lines += ["", f"## {package}", "", f"Scenes: {measured['scenes']}. As they are: {usual}.", ""]
        lines += ["| constant | value | halved | doubled | meaning |", "|---|---|---|---|---|"]
        for name, entry in measured["constants"].items():
            halved, doubled = (_cell(changes) for changes in entry["changes"])
            lines.append(f"| `{name}` | {_value(entry['value'])} | {halved} | {doubled} | {entry['meaning']} |")
        still = [name for name, entry in measured["constants"].items() if not any(map(_worst, entry["changes"]))]
        done = f"{len(measured['constants'])} of {measured['all']} constants were measured"
        lines += ["", f"{done}; {len(still)} of them move nothing in these scenes."]
    return "\n".join(lines) + "\n"


def _worst(changes: Mapping[str, float]) -> str | None:
    """The figure that changed most; None where none moved."""
    name = max(changes, key=lambda each: abs(changes[each]))
    return name if abs(changes[name]) >= _NOTICED else None


def _cell(changes: Mapping[str, float]) -> str:
    name = _worst(changes)
    return "-" if name is None else f"{name} {'+' if changes[name] > 0 else '-'}{_plain(abs(changes[name]))}"


def _plain(value: float) -> str:
    return f"{value:.3f}".lstrip("0") if not math.isclose(value, 1, abs_tol=5e-4) else "1"


def _value(value: Any) -> str:
    return ", ".join(f"{each:g}" for each in value) if isinstance(value, Sequence) else f"{value:g}"
