"""The arrows of docs/architecture.md: which module may import which, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = (
    {"recon", "recon.errors", "recon.facts", "recon.durations", "recon.scale"},
    {"recon.progress"},
    {"recon.stage"},
    {"recon.dag"},
    {"recon.geometry"},
    {"recon.scene"},
    {"recon.io", "recon.directions", "recon.metrics", "recon.marker"},
    {"recon.networks", "recon.photos", "recon.matching.artifact", "recon.pointmaps.artifact", "recon.depth.artifact"},
    {"recon.views", "recon.originals", "recon.camera_source", "recon.measure"},
    {"recon.ingest", "recon.matching", "recon.pointmaps", "recon.sfm", "recon.depth"},
    {"calibration", "splatting", "layout"},
    {"data"},
    {"apps"},
    {"runs"},
)
"""From the ground up, by their names below `fewview`; an artifact's reader and writer is vocabulary, though it lies
beside its stage. A module may import what lies below; of its own floor, only what bears the same name."""
FOLDERS = {name.partition(".")[0] for floor in FLOORS[:-1] for name in floor}


def _modules() -> Iterator[tuple[str, Path]]:
    """Every module by its name below `fewview`."""
    files = [path for folder in sorted(FOLDERS) for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in [*files, ROOT / "fewview" / "runs.py"]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts).removeprefix("fewview."), path


def _room(module: str) -> tuple[int, str] | None:
    """Floor and room of a module; None where it is none of the program's."""
    while module:
        for floor, rooms in enumerate(FLOORS):
            if module in rooms:
                return floor, module
        module = module.rpartition(".")[0]
    return None


def _imports(path: Path, modules: Container[str]) -> Iterator[str]:
    """Full names of the modules that a file imports; of a package, the modules among `modules` that it takes out of
    it (by their names below `fewview`), and else the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from [name for name in whole if name.removeprefix("fewview.") in modules] or [str(node.module)]


def test_no_arrow_runs_up() -> None:
    modules = dict(_modules())
    up = set()
    for module, path in modules.items():
        own = _room(module)
        assert own is not None
        for imported in _imports(path, modules):
            other = _room(imported.removeprefix("fewview.")) if imported.startswith("fewview.") else None
            if other and other != own and other[0] >= own[0]:
                up.add(f"{module} -> {imported}")
    assert up == set()


def test_our_folders_are_imported_below_fewview_alone() -> None:
    """A Python started in the top folder finds them bare, too: as other modules with classes of their own."""
    files = [*dict(_modules()).values(), *(ROOT / "tests").rglob("*.py"), ROOT / "fewview" / "__init__.py"]
    bare = {f"{path}: {name}" for path in files for name in _imports(path, ()) if name.partition(".")[0] in FOLDERS}
    assert bare == set()
    links = {path.name: path.resolve() for path in (ROOT / "fewview").iterdir() if path.is_symlink()}
    assert links == {folder: ROOT / folder for folder in FOLDERS}
