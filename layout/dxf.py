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
from fewview.layout.measures import measure
from fewview.layout.model import RoomLayout
from fewview.recon.scale import Scale

LAYERS = {"WALLS": 7, "WALLS_INFERRED": 1, "DOOR": 30, "WINDOW": 5, "OPENING": 8, "DIMENSIONS": 3, "TEXT": 7}
"""Names and colours (AutoCAD index)."""


def write_dxf(path: Path, layout: RoomLayout, scale: Scale, notes: Sequence[str]) -> None:
    """Write walls, openings, dimensions, area, height and a scale bar, in metres.

    Args:
        layout, scale, notes: see `fewview.layout.svg.write_svg`.
    """
    # Without this, ezdxf writes the date and new identifiers: the same room would not be the same file.
    options.write_fixed_meta_data_for_testing = True
    document = ezdxf.new("R2010", setup=True)  # type: ignore[attr-defined]
    document.units = units.M
    for name, colour in LAYERS.items():
        document.layers.add(name, color=colour, linetype="DASHED" if name == "WALLS_INFERRED" else "CONTINUOUS")
    space = document.modelspace()
    measures, layout, text = measure(layout, scale), layout.scaled(1 / scale.metre), 0.15
    style = {"dimtxt": text, "dimasz": 0.6 * text, "dimexe": 0.4 * text, "dimexo": 0.4 * text, "dimgap": 0.3 * text,
             "dimdec": 2, "dimlfac": 1.0, "dimtad": 1}  # fmt: skip
    space.add_lwpolyline(layout.polygon.tolist(), close=True, dxfattribs={"layer": "WALLS"})
    sides = dimension_sides(layout.polygon).tolist()
    for wall, side, length in zip(layout.walls, sides, measures.walls, strict=True):
        layer = "WALLS" if wall.observed else "WALLS_INFERRED"
        space.add_line(wall.start.tolist(), wall.end.tolist(), dxfattribs={"layer": layer})
        for opening in wall.openings:
            ends = [(wall.start + t * wall.direction).tolist() for t in (opening.start, opening.end)]
            attributes = {"layer": opening.kind.upper(), "lineweight": 70}
            space.add_line(ends[0], ends[1], dxfattribs=attributes)
        # Interior on the left: a negative distance puts the dimension outside.
        space.add_aligned_dim(
            p1=wall.start.tolist(), p2=wall.end.tolist(), distance=0.4 * side, override=style,
            text=f"<> {length.spread}", dxfattribs={"layer": "DIMENSIONS"},
        ).render()  # fmt: skip
    middle = np.array(Polygon(layout.polygon).representative_point().coords[0])
    low, line_step = layout.polygon.min(0) - 1, np.array([0, 1.6 * text])
    area, height = measures.area, measures.height
    inside = [f"{area.value:.2f} m2 {area.spread}", f"height {height.value:.2f} m {height.spread}"]
    lines = [(line, middle - k * line_step, "MIDDLE_CENTER") for k, line in enumerate(inside)]
    lines += [(note, low - [0, 0.5] - k * line_step, "LEFT") for k, note in enumerate(notes)]
    for line, place, align in lines:
        entity = space.add_text(line, height=text, dxfattribs={"layer": "TEXT"})
        entity.set_placement(place.tolist(), align=TextEntityAlignment[align])
    tick = 0.05
    bar = [low + np.array(step) for step in ((0, tick), (0, 0), (1, 0), (1, tick))]
    space.add_lwpolyline([point.tolist() for point in bar], dxfattribs={"layer": "TEXT"})
    label = space.add_text("1 m", height=text, dxfattribs={"layer": "TEXT"})
    label.set_placement((low[0] + 1 + tick, low[1]), align=TextEntityAlignment.LEFT)
    # ezdxf would register them in the order of a set, which differs from process to process.
    for kind in sorted(document.entitydb.dxf_types_in_use()):
        document.classes.add_class(kind)
    document.saveas(path)
