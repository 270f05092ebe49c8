"""`floorplan.svg`: a dimensioned plan that every browser shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

import numpy as np
from shapely.geometry import Polygon

from fewview.layout.dimensions import dimension_sides
from fewview.layout.measures import Measure, measure
from fewview.layout.model import RoomLayout, Wall
from fewview.recon.scale import Scale

PX_PER_M = 100.0
Place = Callable[[np.ndarray], tuple[float, float]]
"""From the plan to the drawing."""
_MARGIN = 90.0
_LINE_PX = 15.0
_CHARACTER_PX = 6.0
"""Of a note, on average."""
_NUMBERED_PX = 20.0
"""Shorter walls bear no number."""
_COLOURS = {"door": "#a0522d", "window": "#1e7fd0", "opening": "#7a7a7a"}


def write_svg(path: Path, layout: RoomLayout, scale: Scale, notes: Sequence[str]) -> None:
    """Write the plan: walls (numbered from 1, dashed where inferred), openings, lengths, area, height and a scale bar.

    Every measure is in metres, with half the width of its interval.

    Args:
        layout: scene units.
        notes: lines below the plan, such as where the scale comes from.
    """
    path.write_text(draw(layout, scale, notes), encoding="utf-8")


def draw(layout: RoomLayout, known: Scale, notes: Sequence[str]) -> str:
    measures, layout, scale = measure(layout, known), layout.scaled(1 / known.metre), PX_PER_M
    low, high = layout.polygon.min(0), layout.polygon.max(0)
    width, height = (high - low) * scale + 2 * _MARGIN
    notes = [line for note in notes for line in wrap(note, max(20, int((width - _MARGIN) / _CHARACTER_PX)))]
    height += 35 + _LINE_PX * len(notes)

    def at(point: np.ndarray) -> tuple[float, float]:
        # SVG has y down.
        return float((point[0] - low[0]) * scale + _MARGIN), float((high[1] - point[1]) * scale + _MARGIN)

    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in map(at, layout.polygon))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.2f} {height:.2f}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<polygon id="floor" points="{points}" fill="#f4f1ea"/>',
    ]
    sides = dimension_sides(layout.polygon)
    for index, wall in enumerate(layout.walls):
        (x1, y1), (x2, y2) = at(wall.start), at(wall.end)
        dash = "" if wall.observed else ' stroke-dasharray="8 6"'
        colour = "#222222" if wall.observed else "#b03030"
        parts.append(
            f'<line id="wall-{index}" class="{"observed" if wall.observed else "inferred"}" x1="{x1:.2f}" '
            f'y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}" stroke-width="5"{dash}/>'
        )
        parts += _openings(wall, at)
        side = int(sides[index])
        parts += _dimension(wall, side, at, measures.walls[index])
        if wall.length * scale > _NUMBERED_PX:
            x, y = at((wall.start + wall.end) / 2 - side * wall.normal * 14 / scale)
            parts.append(_text(x, y + 4, str(index + 1), size=11))
    middle = at(np.array(Polygon(layout.polygon).representative_point().coords[0]))
    parts.append(_text(middle[0], middle[1], f"{measures.area.value:.2f} m² {measures.area.spread}", size=18))
    parts.append(_text(middle[0], middle[1] + 20, f"height {measures.height.value:.2f} m {measures.height.spread}"))
    below = height - 14 - _LINE_PX * (len(notes) - 1)
    parts += _scale_bar(below - 26)
    for line, note in enumerate(notes):
        parts.append(_text(_MARGIN, below + _LINE_PX * line, note, anchor="start", size=11))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _openings(wall: Wall, at: Place) -> list[str]:
    out = []
    for opening in wall.openings:
        (x1, y1), (x2, y2) = (at(wall.start + t * wall.direction) for t in (opening.start, opening.end))
        out.append(
            f'<line class="{opening.kind}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" '
            f'stroke="{_COLOURS[opening.kind]}" stroke-width="8"><title>{opening.kind} '
            f"{opening.confidence:.2f}</title></line>"
        )
    return out


def _dimension(wall: Wall, side: int, at: Place, length: Measure) -> list[str]:
    """A dimension line beside the wall, with its length."""
    (x1, y1), (x2, y2) = at(wall.start), at(wall.end)
    # The normal points inside; the drawing's y is turned over.
    nx, ny = side * wall.normal[0] * 26, -side * wall.normal[1] * 26
    angle = np.degrees(np.arctan2(y2 - y1, x2 - x1))
    angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
    middle_x, middle_y = (x1 + x2) / 2 + nx * 1.45, (y1 + y2) / 2 + ny * 1.45
    steps = [f"M{x + nx * a:.2f} {y + ny * a:.2f} L{z + nx * b:.2f} {w + ny * b:.2f}" for x, y, z, w, a, b in (
        (x1, y1, x2, y2, 1, 1), (x1, y1, x1, y1, 0.75, 1.25), (x2, y2, x2, y2, 0.75, 1.25)
    )]  # fmt: skip
    line = f'<path d="{" ".join(steps)}" stroke="#555555" stroke-width="1" fill="none"/>'
    label = (
        f'<text x="{middle_x:.2f}" y="{middle_y:.2f}" text-anchor="middle" dominant-baseline="middle" '
        f'transform="rotate({angle:.2f} {middle_x:.2f} {middle_y:.2f})">{length.value:.2f} m'
        f'<tspan font-size="10" fill="#777777"> {length.spread}</tspan></text>'
    )
    return [line, label]


def _scale_bar(y: float) -> list[str]:
    x = _MARGIN
    return [
        f'<path id="scale-bar" d="M{x:.2f} {y - 5:.2f} V{y:.2f} H{x + PX_PER_M:.2f} V{y - 5:.2f}" '
        'stroke="black" stroke-width="2" fill="none"/>',
        _text(x + PX_PER_M + 8, y, "1 m", anchor="start"),
    ]


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 13) -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
