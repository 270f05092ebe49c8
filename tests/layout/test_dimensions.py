"""Dimension lines of the plan do not cross, whatever the shape of the room."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import ezdxf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString

from fewview.layout.dimensions import dimension_sides
from fewview.layout.dxf import write_dxf
from fewview.layout.svg import draw
from fewview.recon.scale import Scale
from tests.layout.prisms import L_SHAPE, RECTANGLE, SLANTED, room

T_SHAPE = np.array([[0, 0], [5, 0], [5, 2.4], [3.6, 2.4], [3.6, 4], [1.4, 4], [1.4, 2.4], [0, 2.4]])
U_SHAPE = np.array([[0, 0], [5, 0], [5, 4], [3.8, 4], [3.8, 2], [1.2, 2], [1.2, 4], [0, 4]])
SHAPES = [RECTANGLE, L_SHAPE, SLANTED, T_SHAPE, U_SHAPE]


def _crossings(lines: list[LineString]) -> int:
    return sum(a.intersects(b) for a, b in combinations(lines, 2))


@pytest.mark.parametrize("polygon", SHAPES, ids=["rectangle", "l", "slanted", "t", "u"])
def test_drawn_dimensions_do_not_cross(polygon: np.ndarray, tmp_path: Path) -> None:
    layout = room(polygon)
    paths = re.findall(r'<path d="M([\d.]+) ([\d.]+) L([\d.]+) ([\d.]+)', draw(layout, Scale("metre", "a tape"), []))
    lines = [LineString([(float(a), float(b)), (float(c), float(d))]) for a, b, c, d in paths]
    assert len(lines) == len(polygon)
    assert _crossings(lines) == 0
    write_dxf(tmp_path / "plan.dxf", layout, Scale("metre", "a tape"), [])
    lines = []
    for dimension in ezdxf.readfile(tmp_path / "plan.dxf").modelspace().query("DIMENSION"):
        along = dimension.dxf.defpoint3 - dimension.dxf.defpoint2
        lines.append(LineString([(dimension.dxf.defpoint - along).vec2, dimension.dxf.defpoint.vec2]))
    assert len(lines) == len(polygon)
    assert _crossings(lines) == 0


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_lines_near_the_walls_of_a_staircase_never_cross(heights: list[int]) -> None:
    """A skyline: convex and concave corners in any order."""
    corners: list[tuple[float, float]] = [(0, 0), (len(heights), 0)]
    for index in reversed(range(len(heights))):
        corners += [(index + 1, heights[index]), (index, heights[index])]
    kept = [p for p, q in zip(corners, [*corners[1:], corners[0]], strict=True) if p != q]
    polygon = np.array(kept, float)
    turns = np.cross(np.pad(polygon - np.roll(polygon, 1, 0), ((0, 0), (0, 1))),
                     np.pad(np.roll(polygon, -1, 0) - polygon, ((0, 0), (0, 1))))[:, 2]  # fmt: skip
    polygon = polygon[turns != 0]
    lines = []
    for wall, side in zip(room(polygon).walls, dimension_sides(polygon), strict=True):
        lines.append(LineString([p + 0.1 * side * wall.normal for p in (wall.start, wall.end)]))
    assert _crossings(lines) == 0
