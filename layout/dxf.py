"""`floorplan.dxf`: the plan for CAD programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ezdxf
import numpy as np
from ezdxf import options, units  # type: ignore[attr-defined]
from ezdxf.enums import TextEntityAlignment
from shapely.geometry import Polygon

from fewview.layout.dimensions import dimension_sides
from fewview.layout.model import RoomLayout

LAYERS = {"WALLS": 7, "WALLS_INFERRED": 1, "DOOR": 30, "WINDOW": 5, "OPENING": 8, "DIMENSIONS": 3, "TEXT": 7}
"""Names and colours (AutoCAD index)."""


def write_dxf(path: Path, layout: RoomLayout, unit: str, metre: float, notes: Sequence[str]) -> None:
    """Write walls, openings, dimensions, area, height and a scale bar, in the units of the layout.

    Args:
        unit, metre, notes: see `fewview.layout.svg.write_svg`.
    """
    # Without this, ezdxf writes the date and new identifiers: the same room would not be the same file.
    options.write_fixed_meta_data_for_testing = True
    document = ezdxf.new("R2010", setup=True)  # type: ignore[attr-defined]
    document.units = units.M if unit == "m" else 0
    for name, colour in LAYERS.items():
        document.layers.add(name, color=colour, linetype="DASHED" if name == "WALLS_INFERRED" else "CONTINUOUS")
    space = document.modelspace()
    text = 0.15 * metre
    style = {"dimtxt": text, "dimasz": 0.6 * text, "dimexe": 0.4 * text, "dimexo": 0.4 * text, "dimgap": 0.3 * text,
             "dimdec": 2, "dimlfac": 1.0, "dimtad": 1}  # fmt: skip
    space.add_lwpolyline(layout.polygon.tolist(), close=True, dxfattribs={"layer": "WALLS"})
    for wall, side in zip(layout.walls, dimension_sides(layout.polygon).tolist(), strict=True):
        layer = "WALLS" if wall.observed else "WALLS_INFERRED"
        space.add_line(wall.start.tolist(), wall.end.tolist(), dxfattribs={"layer": layer})
        for opening in wall.openings:
            ends = [(wall.start + t * wall.direction).tolist() for t in (opening.start, opening.end)]
            attributes = {"layer": opening.kind.upper(), "lineweight": 70}
            space.add_line(ends[0], ends[1], dxfattribs=attributes)
        # Interior on the left: a negative distance puts the dimension outside.
        space.add_aligned_dim(
            p1=wall.start.tolist(), p2=wall.end.tolist(), distance=0.4 * side * metre, override=style,
            dxfattribs={"layer": "DIMENSIONS"},
        ).render()  # fmt: skip
    middle = np.array(Polygon(layout.polygon).representative_point().coords[0])
    low, line_step = layout.polygon.min(0) - metre, np.array([0, 1.6 * text])
    inside = [f"{layout.area:.2f} {unit}2", f"height {layout.height:.2f} {unit}"]
    lines = [(line, middle - k * line_step, "MIDDLE_CENTER") for k, line in enumerate(inside)]
    lines += [(note, low - [0, 0.5 * metre] - k * line_step, "LEFT") for k, note in enumerate(notes)]
    for line, place, align in lines:
        entity = space.add_text(line, height=text, dxfattribs={"layer": "TEXT"})
        entity.set_placement(place.tolist(), align=TextEntityAlignment[align])
    length = metre if unit == "m" else 10 ** np.floor(np.log10(metre))
    tick = 0.05 * metre
    bar = [low + np.array(step) for step in ((0, tick), (0, 0), (length, 0), (length, tick))]
    space.add_lwpolyline([point.tolist() for point in bar], dxfattribs={"layer": "TEXT"})
    label = space.add_text(f"{length:g} {unit}", height=text, dxfattribs={"layer": "TEXT"})
    label.set_placement((low[0] + length + tick, low[1]), align=TextEntityAlignment.LEFT)
    # ezdxf would register them in the order of a set, which differs from process to process.
    for kind in sorted(document.entitydb.dxf_types_in_use()):
        document.classes.add_class(kind)
    document.saveas(path)
