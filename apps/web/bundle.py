"""The files of a run that a visitor looks at or takes away: as they are, or packed into formats others read."""

from __future__ import annotations

import functools
import os
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path

from fewview.apps.reporting import NAME as REPORT
from fewview.apps.results import Results
from fewview.apps.web.server import Server
from fewview.apps.web.store import within
from fewview.recon.io.glb import one_sided


def downloads(server: Server, results: Results) -> list[tuple[Path, str]]:
    """Each file, ready to be served, with its title."""
    files = []
    for file in results.files:
        path = within(results.out, file.path)
        if path is None:
            continue
        if path.is_dir():
            files.append((_made(server.bundle(results) / "colmap.zip", _zip, path), file.title))
            continue
        served = server.publish(results, file.path)
        if served is not None:
            files.append((Path(served), file.title))
        if file.path == "splat/splat.ply":
            spz = _made(server.bundle(results) / "splat.spz", _spz, path)
            files.append((spz, "Gaussian splats (SPZ, a sixth of the size)"))
    report = server.publish(results, REPORT)
    if report is not None:
        files.append((Path(report), "Report (one page, opens from disk)"))
    return files


def shown_mesh(server: Server, results: Results, name: str, inside: bool = False) -> str | None:
    """A GLB of the run as the page shows it, or None where there is none: one looks through the backs of its
    surfaces, and so from outside into a room.

    Args:
        inside: through their fronts instead, as they face outwards.
    """
    path = within(results.out, name)
    if path is None:
        return None
    make = functools.partial(_one_sided, inside=inside)
    return str(_made(server.bundle(results) / f"shown-{path.name}", make, path))


def _made(target: Path, make: Callable[[Path, Path], None], source: Path) -> Path:
    """What `make` writes of `source`; it gets its name when it is complete, as two visitors may ask for it at once."""
    if not target.exists():
        unfinished = target.with_name(f"{secrets.token_hex(8)}{target.suffix}")
        make(source, unfinished)
        os.replace(unfinished, target)
    return target


def _zip(model: Path, target: Path) -> None:
    """A COLMAP model as an archive that unpacks to `sparse/0`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(model.iterdir()):
            archive.write(file, f"sparse/0/{file.name}")


def _one_sided(mesh: Path, target: Path, inside: bool) -> None:
    target.write_bytes(one_sided(mesh.read_bytes(), inside))


def _spz(ply: Path, target: Path) -> None:
    from fewview.splatting.export import read_ply, write_spz  # loads torch

    write_spz(target, read_ply(ply))
