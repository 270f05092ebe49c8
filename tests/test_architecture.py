"""The arrows of docs/architecture.md: which module may import which, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = (
    {"recon", "recon.errors", "recon.facts", "recon.durations"},
    {"recon.progress"},
    {"recon.stage"},
    {"recon.dag"},
    {"recon.geometry"},
    {"recon.scene"},
    {"recon.io", "recon.directions", "recon.metrics"},
    {"recon.networks", "recon.photos", "recon.matching.artifact", "recon.priors.artifact", "recon.depth.artifact"},
    {"recon.views", "recon.originals", "recon.ladder", "recon.measure"},
    {"recon.ingest", "recon.matching", "recon.priors", "recon.sfm", "recon.depth"},
    {"calibration", "splatting", "layout"},
    {"data"},
    {"apps"},
    {"fewview"},
)
"""From the ground up; an artifact's reader and writer is vocabulary, though it lies beside its stage. A module may
import what lies below; of its own floor, only what bears the same name."""


def _modules() -> Iterator[tuple[str, Path]]:
    """Every module of the program by the name that it has below the top folder."""
    tops = {name.partition(".")[0] for floor in FLOORS for name in floor}
    for path in sorted(path for top in tops for path in (ROOT / top).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _room(module: str) -> tuple[int, str] | None:
    """Floor and room of a module; None where it is none of the program's."""
    while module:
        for floor, rooms in enumerate(FLOORS):
            if module in rooms:
                return floor, module
        module = module.rpartition(".")[0]
    return None


def _imports(path: Path, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (whole & modules) or {str(node.module)}


def test_no_arrow_runs_up() -> None:
    modules = dict(_modules())
    up = []
    for module, path in modules.items():
        own = _room(module)
        assert own is not None
        for imported in _imports(path, set(modules)):
            other = _room(imported)
            if other and other != own and other[0] >= own[0]:
                up.append(f"{module} -> {imported}")
    assert up == []
