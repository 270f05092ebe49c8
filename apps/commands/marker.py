"""`fewview marker`: the page to print that tells photos how long a metre is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from fewview.recon.dag.faults import writing
from fewview.recon.errors import InputError
from fewview.recon.marker import CELLS, CHECK_M, PAGE_M, TAGS, pattern

_M = 1000 * mm
"""Points of the page."""


@dataclass(frozen=True)
class Arguments:
    """Write a page (A4) to print that tells photos how long a metre is: lay it flat where two or more show it."""

    out: Path = Path("marker.pdf")
    """File to write."""


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview marker", args=list(argv))


def main(arguments: Arguments) -> int:
    if arguments.out.suffix != ".pdf":
        raise InputError(f"{arguments.out} is no name of a PDF.", "Name a file that ends in .pdf.")
    with writing(arguments.out, "--out"):
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        draw(arguments.out)
    print(f"{arguments.out}: print it at 100 % (no `fit to page`), check the line, and lay it flat in the scene.")
    return 0


def draw(path: Path) -> None:
    """Write the page: vector graphics, the same file every time."""
    canvas = Canvas(str(path), pagesize=(PAGE_M[0] * _M, PAGE_M[1] * _M), invariant=1)
    canvas.setTitle("fewview marker")
    for number, (left, low, side) in TAGS.items():
        _tag(canvas, number, left * _M, low * _M, side * _M)
    start, end, height = (place * _M for place in CHECK_M)
    canvas.setLineWidth(0.4 * mm)
    for x in (start, end):
        canvas.line(x, height - 3 * mm, x, height + 3 * mm)
    canvas.line(start, height, end, height)
    canvas.setFont("Helvetica", 11)
    length = 1000 * (CHECK_M[1] - CHECK_M[0])
    middle = PAGE_M[0] * _M / 2
    for step, text in enumerate((
        f"This line must be {length:.0f} mm long. If it is not, print again at 100 %, without `fit to page`.",
        "Lay or tape the page flat where two photos or more show it, and leave it there.",
    )):  # fmt: skip
        canvas.drawCentredString(middle, height - (8 + 6 * step) * mm, text)
    canvas.showPage()
    canvas.save()


def _tag(canvas: Canvas, number: int, left: float, low: float, side: float) -> None:
    """A black square, and its white cells as one shape: between shapes that only touch, viewers leave hairlines."""
    canvas.setFillGray(0)
    canvas.rect(left, low, side, side, stroke=0, fill=1)
    white, cell = canvas.beginPath(), side / CELLS
    for row, cells in enumerate(pattern(number)):
        for column, value in enumerate(cells):
            if value:
                white.rect(left + column * cell, low + side - (row + 1) * cell, cell, cell)
    canvas.setFillGray(1)
    canvas.drawPath(white, stroke=0, fill=1)
    canvas.setFillGray(0)
