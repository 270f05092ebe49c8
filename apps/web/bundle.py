"""The files of a run that a visitor takes away: as they are, or packed into formats others read."""

from __future__ import annotations

import zipfile
from pathlib import Path

from apps.reporting import NAME as REPORT
from apps.results import Results
from apps.web.server import Server
from apps.web.store import within


def downloads(server: Server, results: Results) -> list[tuple[str, str]]:
    """Each file, ready to be served, with its title."""
    files = []
    for file in results.files:
        path = within(results.out, file.path)
        if path is None:
            continue
        if path.is_dir():
            files.append((_zipped(path, server.bundle(results) / "colmap.zip"), file.title))
            continue
        served = server.publish(results, file.path)
        if served is not None:
            files.append((served, file.title))
        if file.path == "splat/splat.ply":
            spz = _spz(path, server.bundle(results) / "splat.spz")
            files.append((spz, "Gaussian splats (SPZ, a sixth of the size)"))
    report = server.publish(results, REPORT)
    if report is not None:
        files.append((report, "Report (one page, opens from disk)"))
    return files


def _zipped(model: Path, target: Path) -> str:
    """A COLMAP model as an archive that unpacks to `sparse/0`."""
    if not target.exists():
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(model.iterdir()):
                archive.write(file, f"sparse/0/{file.name}")
    return str(target)


def _spz(ply: Path, target: Path) -> str:
    if not target.exists():
        from splatting.export import read_ply, write_spz  # loads torch

        write_spz(target, read_ply(ply))
    return str(target)
