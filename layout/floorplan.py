"""Which part of the plan is the room: cells of wall lines, labelled by a minimal cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from fewview.layout import tolerances as tol
from fewview.layout.arrangement import Arrangement, arrange
from fewview.layout.freespace import FreeSpace
from fewview.layout.walls import Line, WallLine
from fewview.recon.geometry.graph import components

_UNIT = 10_000
"""Costs become integers for the flow."""


@dataclass(frozen=True)
class Labelling:
    arrangement: Arrangement
    inside: Bool[np.ndarray, " C"]
    rim: Bool[np.ndarray, " C"]
    """Cells at the border of the grid: outside."""


def label_cells(walls: Sequence[WallLine], space: FreeSpace, eyes: Float[np.ndarray, "V 2"]) -> Labelling:
    """The minimal cut between what must be the room and what cannot be.

    A line without a wall on it is virtual: it lies where observation ends, along the axes. Without virtual lines a
    room whose walls are not all seen could not close.

    Args:
        eyes: the cameras in the plan.
    """
    lines = merge_lines([*walls, *_virtual_lines(walls, space, eyes)])
    low, high = space.origin, space.origin + tol.SPACE_CELL_M * np.array(space.seen.shape[::-1])
    arrangement = arrange(lines, low, high)
    inside_cost, outside_cost = _unary(arrangement, space)
    outside_cost += _faced(lines, walls, arrangement)
    count = len(arrangement.signs)
    source, sink = count, count + 1
    # Cells at the rim of the grid are outside: nothing was observed there.
    rim = np.zeros(count, bool)
    for edge_points in _rim(low, high):
        cells = arrangement.locate(edge_points)
        rim[cells[cells >= 0]] = True
    inside_cost, outside_cost = np.where(rim, 1e3, inside_cost), np.where(rim, 0, outside_cost)
    tails, heads, costs = [np.full(count, source), np.arange(count)], [np.arange(count), np.full(count, sink)], []
    costs += [outside_cost, inside_cost]
    pairs = np.array([[edge.inner, edge.outer] for edge in arrangement.edges])
    forward, backward = np.array([_boundary_costs(lines, walls, arrangement, k) for k in range(len(pairs))]).T
    tails += [pairs[:, 0], pairs[:, 1]]
    heads += [pairs[:, 1], pairs[:, 0]]
    costs += [forward, backward]
    capacity = np.round(np.concatenate(costs) * _UNIT).astype(np.int32)
    where = (np.concatenate(tails), np.concatenate(heads))
    graph = coo_matrix((capacity, where), (count + 2, count + 2)).tocsr()
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    inside = np.zeros(count + 2, bool)
    inside[reached] = True
    return Labelling(arrangement, inside[:count], rim)


def room_cells(labelling: Labelling, eyes: Float[np.ndarray, "V 2"]) -> Bool[np.ndarray, " C"]:
    """The connected inside cells that hold most cameras, with its holes filled."""
    arrangement, inside = labelling.arrangement, labelling.inside
    pairs = np.array([[edge.inner, edge.outer] for edge in arrangement.edges])
    count = len(inside)

    def parts(member: Bool[np.ndarray, " C"]) -> Int[np.ndarray, " C"]:
        return components(count, pairs[member[pairs].all(1)])

    part = parts(inside)
    cells = arrangement.locate(eyes)
    votes = [part[cell] for cell in cells if cell >= 0 and inside[cell]]
    if not votes:
        return np.zeros(count, bool)
    room = inside & (part == np.bincount(votes).argmax())
    around = parts(~room)
    holes = ~room & ~np.isin(around, np.unique(around[labelling.rim]))
    return room | holes


def merge_lines(lines: Sequence[Line]) -> list[Line]:
    """Lines without those that (nearly) repeat an earlier one, in whatever direction: they would make slivers."""
    kept: list[Line] = []
    for line in lines:
        same = any(
            abs(np.sin(line.angle - other.angle)) < tol.PARALLEL
            and abs(line.offset - np.sign(np.cos(line.angle - other.angle)) * other.offset) < tol.SAME_LINE_M
            for other in kept
        )
        if not same:
            kept.append(line)
    return kept


def _boundary_costs(
    lines: Sequence[Line], walls: Sequence[WallLine], arrangement: Arrangement, k: int
) -> tuple[float, float]:
    """Cost of a boundary at an edge with the room on the inner, and on the outer side."""
    edge = arrangement.edges[k]
    out = []
    for side in (1, -1):
        best = tol.OPEN_PER_M
        for wall in _on(lines[edge.line], side, walls):
            covered = wall.cover(side * edge.start, side * edge.end)
            unseen = tol.OPEN_PER_M + (tol.LINE_PER_M - tol.OPEN_PER_M) * min(1.0, wall.area / tol.LARGE_M2)
            best = min(best, unseen + (tol.WALL_PER_M - unseen) * covered)
        out.append(best * (edge.end - edge.start))
    return out[0], out[1]


def _faced(lines: Sequence[Line], walls: Sequence[WallLine], arrangement: Arrangement) -> Float[np.ndarray, " C"]:
    """Cost of calling each cell outside although it lies before seen walls."""
    cost = np.zeros(len(arrangement.signs))
    for edge in arrangement.edges:
        for side, cell in ((1, edge.inner), (-1, edge.outer)):
            on = _on(lines[edge.line], side, walls)
            covered = max((wall.cover(side * edge.start, side * edge.end) for wall in on), default=0.0)
            cost[cell] += tol.FACED_PER_M * covered * (edge.end - edge.start)
    return cost


def _on(line: Line, side: int, walls: Sequence[WallLine]) -> Iterator[WallLine]:
    """The walls on a line that face along its normal (side 1) or against it (-1)."""
    for wall in walls:
        turn = wall.angle - line.angle
        if (
            abs(np.sin(turn)) < tol.PARALLEL
            and np.sign(np.cos(turn)) == side
            and abs(wall.offset - side * line.offset) < tol.ON_LINE_M
        ):
            yield wall


def _unary(arrangement: Arrangement, space: FreeSpace) -> tuple[np.ndarray, np.ndarray]:
    """Cost of calling each cell inside, and outside."""
    cell = arrangement.locate(space.centers())
    count = len(arrangement.signs)
    known = cell >= 0
    areas = tol.SPACE_CELL_M**2 * np.bincount(cell[known], minlength=count)
    seen = tol.SPACE_CELL_M**2 * np.bincount(cell[known], space.seen.ravel()[known], count)
    behind = tol.SPACE_CELL_M**2 * np.bincount(cell[known], space.behind.ravel()[known], count)
    unknown = areas - seen - behind
    return tol.BEHIND_PER_M2 * behind, tol.FREE_PER_M2 * seen + tol.UNKNOWN_PER_M2 * unknown


def _virtual_lines(walls: Sequence[WallLine], space: FreeSpace, eyes: Float[np.ndarray, "V 2"]) -> list[Line]:
    """Lines along the axes where free space ends, at least `BACK_M` behind the cameras, and where walls do."""
    seen = space.centers()[space.seen.ravel() > 0]
    out: list[Line] = []
    for k in range(4):
        line = Line(k * np.pi / 2, 0.0)
        reach = np.percentile(seen @ line.normal, (tol.REACH_TAIL, 100 - tol.REACH_TAIL)) + tol.SPACE_CELL_M * np.array(
            [-1, 1]
        )
        nearest, farthest = np.quantile(eyes @ line.normal, [0, 1])
        back, front = nearest - tol.BACK_M, farthest + tol.BACK_M
        # A wall that ends close behind the cameras, where the view does, goes on.
        goes_on = [(back, nearest)] if reach[0] > back else []
        goes_on += [(farthest, front)] if reach[1] < front else []
        candidates = [float(min(reach[0], back))]
        for wall in walls:
            if abs(np.cos(wall.angle - line.angle)) < tol.ALONG_COSINE:
                ends = [float((wall.offset * wall.normal + t * wall.tangent) @ line.normal) for t in wall.extent]
                candidates += [end for end in ends if not any(a < end < b for a, b in goes_on)]
        taken = [wall.offset * np.sign(np.cos(wall.angle - line.angle)) for wall in walls
                 if abs(np.sin(wall.angle - line.angle)) < 0.1]  # fmt: skip
        taken += [other.offset * np.sign(np.cos(other.angle - line.angle)) for other in out
                  if abs(np.sin(other.angle - line.angle)) < 0.1]  # fmt: skip
        for offset in candidates:
            if all(abs(offset - other) > tol.VIRTUAL_GAP_M for other in taken):
                out.append(Line(line.angle, offset))
                taken.append(offset)
    return out


def _rim(low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """Points just inside the border of a rectangle."""
    t = np.linspace(0.001, 0.999, 200)
    x, y = low[0] + t * (high[0] - low[0]), low[1] + t * (high[1] - low[1])
    inset = 1e-4
    return [
        np.stack([x, np.full_like(x, low[1] + inset)], 1),
        np.stack([x, np.full_like(x, high[1] - inset)], 1),
        np.stack([np.full_like(y, low[0] + inset), y], 1),
        np.stack([np.full_like(y, high[0] - inset), y], 1),
    ]
