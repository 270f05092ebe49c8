"""From cells to a closed polygon whose every edge lies on a line; and the joint fit of all lines to the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.geometry import Polygon

from fewview.layout import tolerances as tol
from fewview.layout.arrangement import Arrangement
from fewview.layout.surfaces import Surfaces
from fewview.layout.walls import Line

Piece = tuple[np.ndarray, np.ndarray, Line]
"""Start, end and line of a piece of a boundary."""


@dataclass(frozen=True)
class Boundary:
    """A closed polygon as the cyclic sequence of its edges' lines; edge i ends where line i + 1 begins.

    Counterclockwise: the room lies to the left of every edge, where its line's normal points.
    """

    lines: tuple[Line, ...]

    def corners(self) -> Float[np.ndarray, "N 2"]:
        """Start points of the edges."""
        return np.stack([_meet(self.lines[i - 1], self.lines[i]) for i in range(len(self.lines))])


def trace(arrangement: Arrangement, room: Bool[np.ndarray, " C"]) -> Boundary:
    """The outer boundary of a connected union of cells without holes.

    Raises:
        ValueError: the cells have no boundary.
    """
    starts: dict[tuple[int, int], list[Piece]] = {}
    for edge in arrangement.edges:
        if room[edge.inner] == room[edge.outer]:
            continue
        line = arrangement.lines[edge.line]
        at = line.offset * line.normal
        # The tangent is the normal turned left, so the room (at the normal) is to the right of the tangent.
        a, b = at + edge.end * line.tangent, at + edge.start * line.tangent
        if room[edge.outer]:
            a, b, line = b, a, Line(line.angle + np.pi, -line.offset)
        starts.setdefault(_key(a), []).append((a, b, line))
    loops = []
    while starts:
        key = next(iter(starts))
        loop: list[Piece] = []
        while starts.get(key):
            choices = starts[key]
            # Where two loops touch in a corner, the sharpest left turn keeps them apart.
            pick = max(range(len(choices)), key=lambda i: _turn(loop, choices[i])) if loop else 0
            a, b, line = choices.pop(pick)
            if not choices:
                del starts[key]
            loop.append((a, b, line))
            key = _key(b)
        loops.append(loop)
    if not loops:
        raise ValueError("the cells have no boundary")
    outer = max(loops, key=lambda loop: _area(np.stack([a for a, _, _ in loop])))
    return Boundary(_merged([line for _, _, line in outer]))


def simplify(boundary: Boundary, support: Sequence[float]) -> Boundary:
    """Drops jogs shorter than 10 cm: of the two parallel lines beside one, the better supported stays.

    Args:
        support: per edge, by which the better one is chosen.
    """
    lines, weights = list(boundary.lines), list(support)
    while len(lines) > 4:
        corners = Boundary(tuple(lines)).corners()
        lengths = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
        short = int(np.argmin(lengths))
        if lengths[short] >= tol.MIN_JOG_M:
            break
        before, after = (short - 1) % len(lines), (short + 1) % len(lines)
        if abs(np.sin(lines[before].angle - lines[after].angle)) < tol.PARALLEL:
            worse = before if weights[before] < weights[after] else after
            drop = sorted({short, worse}, reverse=True)
        else:
            drop = [short]
        for place in drop:
            del lines[place], weights[place]
    return Boundary(_merged(lines))


def without_notches(boundary: Boundary, support: Sequence[float], behind: Float[np.ndarray, "P 2"]) -> Boundary:
    """Gives up walls that nobody saw and that make a concave corner: their neighbours meet instead.

    Of two rooms that explain the same, the one with fewer corners is likelier. What lies behind surfaces stays outside.

    Args:
        support: per edge, its supported length.
        behind: places of the plan, one per cell of the grid, that lie behind surfaces.
    """
    lines, weights = list(boundary.lines), list(support)
    place = 0
    while place < len(lines) and len(lines) > 4:
        corners = Boundary(tuple(lines)).corners()
        count = len(lines)
        pair = (place, (place + 1) % count)
        ends = np.roll(corners, -1, 0) - corners
        unseen = all(weights[k] < tol.OBSERVED_SHARE * np.linalg.norm(ends[k]) for k in pair)
        concave = ends[pair[0]][0] * ends[pair[1]][1] - ends[pair[0]][1] * ends[pair[1]][0] < 0
        around = (lines[place - 1], lines[(place + 2) % count])
        if not (unseen and concave) or _parallel(*around):
            place += 1
            continue
        filled = [_meet(*around), *(corners[(place + step) % count] for step in (2, 1, 0))]
        area = abs(_area(np.stack(filled)))
        hidden = np.count_nonzero(shapely.contains_xy(Polygon(filled), behind)) * tol.SPACE_CELL_M**2
        if not Polygon(filled).is_valid or hidden > area / 2:
            place += 1
            continue
        for k in sorted(pair, reverse=True):
            del lines[k], weights[k]
        place = 0
    return Boundary(tuple(lines))


def straighten(boundary: Boundary) -> Boundary:
    """Neighbouring oblique edges that hardly turn become one, through their outer ends; beside an edge along an axis,
    the longer one stays."""
    lines = list(boundary.lines)
    place = 0
    while place < len(lines) and len(lines) > 3:
        a, b = lines[place], lines[(place + 1) % len(lines)]
        turn = np.degrees(np.abs((b.angle - a.angle + np.pi) % (2 * np.pi) - np.pi))
        after = (place + 1) % len(lines)
        corners = Boundary(tuple(lines)).corners()
        start, middle, end = (corners[(place + step) % len(lines)] for step in range(3))
        if turn < tol.SLIGHT_DEG and not (is_oblique(a) and is_oblique(b)):
            del lines[place if np.linalg.norm(middle - start) < np.linalg.norm(end - middle) else after]
            lines, place = list(_merged(lines)), 0
        elif turn < tol.GENTLE_DEG and is_oblique(a) and is_oblique(b):
            direction = (end - start) / np.linalg.norm(end - start)
            normal = np.array([-direction[1], direction[0]])
            lines[place] = Line(float(np.arctan2(normal[1], normal[0])), float(normal @ start))
            del lines[after]
            lines, place = list(_merged(lines)), 0
        else:
            place += 1
    return Boundary(tuple(lines))


def is_oblique(line: Line) -> bool:
    """Not along an axis of the frame."""
    return abs(np.sin(2 * line.angle)) > np.sin(2 * np.radians(tol.OBLIQUE_DEG))


def turn_oblique(boundary: Boundary, surfaces: Surfaces) -> Boundary:
    """Oblique lines through their own points (total least squares): the histogram of normals gave them roughly."""
    corners, lines = boundary.corners(), list(boundary.lines)
    for index, line in enumerate(boundary.lines):
        if is_oblique(line):
            near = on_edge(line, corners[index], corners[(index + 1) % len(lines)], surfaces, tol.OBLIQUE_REACH_M)
            if near.sum() < tol.OBLIQUE_POINTS:
                continue
            plan, weight = surfaces.xyz[near, :2], surfaces.weight[near]
            middle = np.average(plan, axis=0, weights=weight)
            axis = np.linalg.eigh(np.cov((plan - middle).T, aweights=weight))[1][:, 0]
            normal = axis if axis @ line.normal > 0 else -axis
            lines[index] = Line(float(np.arctan2(normal[1], normal[0])), float(normal @ middle))
    return Boundary(tuple(lines))


def fit(boundary: Boundary, surfaces: Surfaces, rounds: int = 3) -> tuple[Boundary, Float[np.ndarray, " V"]]:
    """Joint least squares of all offsets and of every view's depth scale; directions stay.

    A point of edge i that view v sees along the ray X - c_v lies on the line where n_i . (c_v + s_v (X - c_v)) = o_i.

    Returns:
        The boundary, and the scales.
    """
    scales = np.ones(len(surfaces.centers))
    for reach in np.linspace(*tol.FIT_REACH_M, rounds):
        corners = boundary.corners()
        moved = surfaces.rescaled(scales)
        rows, right, weights = [], [], []
        count, views = len(boundary.lines), len(scales)
        for index, line in enumerate(boundary.lines):
            near = on_edge(line, corners[index], corners[(index + 1) % count], moved, reach)
            eye = surfaces.centers[surfaces.view[near], :2] @ line.normal
            ray = surfaces.xyz[near, :2] @ line.normal - eye
            row = np.zeros((int(near.sum()), count + views))
            row[:, index] = -1
            row[np.arange(len(row)), count + surfaces.view[near]] = ray
            rows.append(row)
            right.append(-eye)
            # A point counts by the surface that it stands for.
            weights.append(np.sqrt(surfaces.weight[near]) / tol.FIT_NOISE_M)
        A, b, w = np.concatenate(rows), np.concatenate(right), np.concatenate(weights)
        prior = np.diag([1 / tol.FIT_OFFSET_PRIOR_M] * count + [1 / tol.FIT_SCALE_PRIOR] * views)
        target = np.concatenate(
            [[line.offset / tol.FIT_OFFSET_PRIOR_M for line in boundary.lines], [1 / tol.FIT_SCALE_PRIOR] * views]
        )
        normal = (A * w[:, None] ** 2).T @ A + prior.T @ prior
        solution = np.linalg.solve(normal, (A * w[:, None] ** 2).T @ b + prior.T @ target)
        fitted = [replace(line, offset=float(o)) for line, o in zip(boundary.lines, solution[:count], strict=True)]
        boundary, scales = Boundary(tuple(fitted)), solution[count:]
    return boundary, scales


def on_edge(
    line: Line,
    start: Float[np.ndarray, " 2"],
    end: Float[np.ndarray, " 2"],
    surfaces: Surfaces,
    reach_m: float,
) -> Bool[np.ndarray, " N"]:
    """Points near an edge that face as its wall would."""
    plan = surfaces.xyz[:, :2]
    t, ends = plan @ line.tangent, sorted((float(start @ line.tangent), float(end @ line.tangent)))
    return (
        (np.abs(plan @ line.normal - line.offset) < reach_m)
        & (t > ends[0] - tol.EDGE_END_M)
        & (t < ends[1] + tol.EDGE_END_M)
        & (surfaces.weight > 0)
        & (surfaces.normal[:, :2] @ line.normal > np.cos(np.radians(tol.FACING_DEG)))
    )


def _merged(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Neighbours on one line become one edge; parallel neighbours that are not are joined on the first."""
    out: list[Line] = []
    for line in lines:
        if not out or not _parallel(out[-1], line):
            out.append(line)
    while len(out) > 1 and _parallel(out[0], out[-1]):
        out.pop()
    return tuple(out)


def _parallel(a: Line, b: Line) -> bool:
    return abs(np.sin(a.angle - b.angle)) < tol.PARALLEL


def _meet(a: Line, b: Line) -> Float[np.ndarray, " 2"]:
    return np.linalg.solve(np.stack([a.normal, b.normal]), [a.offset, b.offset])


def _key(point: np.ndarray) -> tuple[int, int]:
    return int(np.round(point[0] * 1e4)), int(np.round(point[1] * 1e4))


def _turn(loop: list[Piece], choice: Piece) -> float:
    before, after = loop[-1][1] - loop[-1][0], choice[1] - choice[0]
    return float(np.arctan2(before[0] * after[1] - before[1] * after[0], before @ after))


def _area(polygon: Float[np.ndarray, "N 2"]) -> float:
    x, y = polygon.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
