"""One self-contained page a run: it opens from disk and needs no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fewview.apps.reporting import formats, pictures
from fewview.apps.reporting.charts import learning_curve, match_matrix, stage_bars
from fewview.apps.reporting.columns import columns
from fewview.apps.reporting.plan import read_plan
from fewview.apps.reporting.tiles import headline, tiles
from fewview.apps.results import PhotoResult, Results, read_results
from fewview.recon.dag.faults import writing

NAME = "report.html"

_TEMPLATES = Path(__file__).with_name("templates")
_LIBRARIES = ("torch", "pycolmap", "open3d", "opencv-python", "numpy", "scipy", "kornia", "poselib")
"""Those that figures may depend on."""


def write_report(out: Path) -> Path:
    """Write `report.html` into the folder of a run, whole or not at all; the same run always gives the same bytes.

    Raises:
        InputError: `out` is not the folder of a run, or its files are damaged.
        EnvironmentFault: it cannot be written.
    """
    text = render(read_results(out))
    temporary = out / f".{NAME}.tmp"
    try:
        with writing(out):
            # A file name that is not Unicode must not cost the report.
            temporary.write_text(text, encoding="utf-8", errors="replace")
            os.replace(temporary, out / NAME)
    finally:
        temporary.unlink(missing_ok=True)
    return out / NAME


def render(results: Results) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": formats.share,
        "seconds": formats.seconds,
        "size": formats.size,
        "figure": formats.figure,
        "coded": formats.coded,
    }
    return environment.get_template("report.html").render(_context(results))


def _context(results: Results) -> dict[str, Any]:
    out, numbers = results.out, {photo.name: i + 1 for i, photo in enumerate(results.photos)}
    pictured = choose_pictured(results.photos)
    depths, depth_span = pictures.depth_pictures(out / "depth", pictured) if results.finished("depth") else ({}, None)
    bare = {photo.name: photo.bare_sides for photo in results.photos}
    unit = results.scale.unit if results.scale else ""
    return {
        "run": results,
        "headline": headline(results),
        "tiles": tiles(results),
        "numbers": numbers,
        "columns": columns(results.photos),
        "thumbs": {p.name: pictures.thumbnail(out / p.image) for p in results.photos if p.image},
        "pictured": pictured,
        "plan": read_plan(out / "cameras", numbers, unit, bare) if results.finished("cameras") else None,
        "matrix": match_matrix(results.pairs, numbers) if results.pairs else None,
        "depths": depths,
        "depth_span": depth_span,
        "renders": {p.name: pictures.comparison(out / p.comparison) for p in pictured if p.comparison},
        "film": pictures.film(out / "renders" / "path.mp4") if results.finished("renders") else None,
        "overlays": {p.name: pictures.from_file(out / p.overlay) for p in pictured if p.overlay},
        "curve": learning_curve(results.training, len(results.photos)) if results.training else None,
        "floorplan": _floorplan(out) if results.room and results.room.found else None,
        "calibration": _text(out / "motion" / "report.html") if results.rig else None,
        "bars": stage_bars(results.stages),
        "versions": {name: version for name, version in _versions(results) if version is not None},
    }


def choose_pictured(photos: Sequence[PhotoResult]) -> list[PhotoResult]:
    """The photos that are shown large, in their order: all that were placed, or those with the least depth and worst
    render where there are too many."""
    placed = [photo for photo in photos if photo.registered]
    worst = sorted(placed, key=lambda photo: (photo.psnr_db or 0.0, photo.depth_verified or 0.0))
    chosen = {photo.name for photo in worst[: pictures.MOST_PICTURED]}
    return [photo for photo in placed if photo.name in chosen]


def _versions(results: Results) -> list[tuple[str, str | None]]:
    machine = results.environment
    libraries = machine.get("libraries", {})
    return [
        ("Python", machine.get("python")),
        *((name, libraries.get(name)) for name in _LIBRARIES),
        ("system", machine.get("platform")),
        ("device", machine.get("device")),
        ("processors", machine.get("cpus")),
    ]


def _floorplan(out: Path) -> Markup:
    """The drawing, to stand in the page; the stage escaped what is written in it."""
    return Markup(_text(out / "layout" / "floorplan.svg"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
