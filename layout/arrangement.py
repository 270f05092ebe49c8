"""The cells into which lines cut the plan, and the edges between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fewview.layout import tolerances as tol
from fewview.layout.walls import Line


@dataclass(frozen=True)
class Edge:
    """A piece of a line between two cells."""

    line: int
    start: float
    """Along the line's tangent."""
    end: float
    inner: int
    """The cell on the side of the line's normal."""
    outer: int


@dataclass(frozen=True)
class Arrangement:
    """Cells are told apart by the sides of all lines that they lie on."""

    lines: Sequence[Line]
    signs: Int[np.ndarray, "C L"]
    """+1 on the side of the normal, else -1; one row a cell."""
    edges: list[Edge]

    def locate(self, points: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, " N"]:
        """The cell of each point, -1 outside the frame."""
        index = {row.tobytes(): cell for cell, row in enumerate(self.signs)}
        rows, place = np.unique(_sides(self.lines, points), axis=0, return_inverse=True)
        cells = np.array([index.get(row.tobytes(), -1) for row in rows])
        return cells[place.reshape(-1)]


def arrange(lines: Sequence[Line], low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"]) -> Arrangement:
    """Cells of the lines within a rectangle. Parallel lines of opposite direction at one place must be given once."""
    normals, offsets = np.stack([line.normal for line in lines]), np.array([line.offset for line in lines])
    pieces: list[tuple[int, float, float]] = []
    probes = []
    for index, line in enumerate(lines):
        along = normals @ line.tangent
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (offsets - normals @ (line.offset * line.normal)) / along
        first, last = _clip(line, low, high)
        if first >= last:
            continue
        t = np.sort(t[(np.abs(along) > 1e-9) & (t > first) & (t < last)])
        cuts = np.concatenate([[first], t, [last]])
        for a, b in itertools.pairwise(cuts):
            if b - a > tol.APART_M:
                middle = line.offset * line.normal + (a + b) / 2 * line.tangent
                pieces.append((index, a, b))
                probes += [middle + tol.APART_M / 2 * line.normal, middle - tol.APART_M / 2 * line.normal]
    sides = _sides(lines, np.array(probes))
    signs, cell = np.unique(sides, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    edges = [Edge(index, a, b, int(cell[2 * k]), int(cell[2 * k + 1])) for k, (index, a, b) in enumerate(pieces)]
    return Arrangement(lines, signs, edges)


def _sides(lines: Sequence[Line], points: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, "N L"]:
    normals, offsets = np.stack([line.normal for line in lines]), np.array([line.offset for line in lines])
    return np.where(points @ normals.T > offsets, 1, -1).astype(np.int8)


def _clip(line: Line, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Where the line enters and leaves a rectangle, along its tangent."""
    first, last = -np.inf, np.inf
    at = line.offset * line.normal
    for axis in range(2):
        step = line.tangent[axis]
        if abs(step) < 1e-12:
            if not low[axis] < at[axis] < high[axis]:
                return 0.0, 0.0
            continue
        a, b = sorted(((low[axis] - at[axis]) / step, (high[axis] - at[axis]) / step))
        first, last = max(first, a), min(last, b)
    return first, last
