"""The cameras and sparse points seen from above, as numbers to draw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.colmap import read_model
from fewview.recon.scene import View, mean_up
from fewview.recon.sfm.advice import FIRM, weak_ties

WIDTH_PX = 640.0
_MARGIN_PX = 48.0
_MOST_POINTS = 2500
_MOST_TIES = 12
"""Between more photos than this only the weak ties are drawn."""
_CROWD = 24
"""More cameras than this are drawn small."""
_PERCENTILES = (3, 97)
"""Of the points, that the plan reaches to."""
_SIDES = {"left": -1.0, "right": 1.0}


@dataclass(frozen=True)
class PlanCamera:
    number: int
    name: str
    labelled: bool
    """Its number is written: of many, every tenth's and those with a bare side."""
    x: float
    y: float
    wedge: str
    """Corners of what it sees."""
    bare: tuple[tuple[str, float, float, float, float], ...]
    """Sides that no other photo sees: which, and the line along that edge of the wedge."""


@dataclass(frozen=True)
class PlanTie:
    """Two photos that see the same points."""

    a: str
    b: str
    shared: int
    weak: bool
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Plan:
    width: float
    height: float
    crowded: bool
    cameras: tuple[PlanCamera, ...]
    ties: tuple[PlanTie, ...]
    wanted: tuple[tuple[float, float], ...]
    """Where a photo would help most: between two that are weakly tied."""
    points: str
    """A path of dots."""
    bar_px: float
    bar: str
    """What the scale bar says."""


def read_plan(folder: Path, numbers: Mapping[str, int], unit: str, bare: Mapping[str, Sequence[str]]) -> Plan:
    """The plan of a folder with `cameras.json` and `sparse/0`.

    Args:
        numbers: how each photo is called in the drawing.
        unit: written after lengths.
        bare: by photo the sides (`left`, `right`) that no other photo sees.
    """
    views = read_cameras(folder).views
    named, points = read_model(folder / "sparse" / "0")
    place = {view.name: i for i, view in enumerate(views)}
    seen = np.zeros((len(points.tracks), len(views)), np.float32)
    for row, track in enumerate(points.tracks):
        seen[row, [place[named[i].name] for i, _ in track]] = 1
    return draw_plan(views, points.xyz, (seen.T @ seen).astype(int), numbers, unit, bare)


def draw_plan(
    views: Sequence[View],
    xyz: Float[np.ndarray, "N 3"],
    shared: Int[np.ndarray, "V V"],
    numbers: Mapping[str, int],
    unit: str,
    bare: Mapping[str, Sequence[str]],
) -> Plan:
    """Seen along the mean camera's up; the first camera looks up the page. `shared` counts points that two see."""
    axes = horizontal_axes(views)
    flat, centers = xyz @ axes.T, np.array([view.center for view in views]) @ axes.T
    weak = weak_ties(shared)
    wanted = [(centers[a] + centers[b]) / 2 for a, b, _ in weak]
    inner = np.percentile(flat, _PERCENTILES, axis=0) if len(flat) else np.zeros((0, 2))
    everything = np.concatenate([centers, inner])
    low, extent = everything.min(0), np.maximum(np.ptp(everything, axis=0), 1e-9)
    # The page is as wide as asked, and neither a strip nor a tower.
    scale = min((WIDTH_PX - 2 * _MARGIN_PX) / extent[0], (WIDTH_PX - 2 * _MARGIN_PX) / extent[1])
    height = max(extent[1] * scale + 2 * _MARGIN_PX, WIDTH_PX / 2.5)
    offset = (np.array([WIDTH_PX, height]) - extent * scale) / 2

    def at(point: np.ndarray) -> np.ndarray:
        x, y = offset + (point - low) * scale
        return np.array([x, height - y])

    places = [at(center) for center in centers]
    crowded = len(views) > _CROWD
    reach = (0.06 if crowded else 0.13) * min(WIDTH_PX, height)
    cameras = []
    for view, place in zip(views, places, strict=True):
        edges = {side: place + reach * _edge(view, axes, sign) for side, sign in _SIDES.items()}
        corners = [place, edges["left"], edges["right"]]
        lines = [(side, *place, *edges[side]) for side in _SIDES if side in bare.get(view.name, ())]
        wedge = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        number = numbers[view.name]
        labelled = not crowded or bool(lines) or number % 10 == 1
        cameras.append(PlanCamera(number, view.name, labelled, *_rounded(place), wedge, tuple(map(_line, lines))))
    shown = flat[:: max(1, -(-len(flat) // _MOST_POINTS))]
    dots = [at(point) for point in shown]
    inside = [(x, y) for x, y in dots if 0 <= x <= WIDTH_PX and 0 <= y <= height]
    unit_length = 10 ** np.floor(np.log10(extent.max() / 2))
    return Plan(
        WIDTH_PX,
        round(float(height), 1),
        crowded,
        tuple(cameras),
        tuple(_ties(views, shared, {(a, b) for a, b, _ in weak}, places)),
        tuple(_rounded(at(place)) for place in wanted),
        "".join(f"M{x:.1f} {y:.1f}h0" for x, y in inside),
        round(float(unit_length * scale), 1),
        f"{unit_length:g} {unit}",
    )


def horizontal_axes(views: Sequence[View]) -> Float[np.ndarray, "2 3"]:
    """Right and ahead in the world, both level: rows, unit."""
    up = mean_up([view.T_world_camera for view in views])
    if np.linalg.norm(up) < 1e-6:  # as many photos upside down as upright
        up = -views[0].T_world_camera[:3, 1]
    up = up / np.linalg.norm(up)
    # The level direction nearest to where the first camera looks; one that looks straight up or down has none, and
    # then the top of its picture is ahead.
    candidates = [axis - up * (up @ axis) for axis in views[0].T_world_camera[:3, [2, 1]].T]
    ahead = next(axis for axis in candidates if np.linalg.norm(axis) > 1e-3)
    ahead = ahead / np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), ahead])


def _edge(view: View, axes: Float[np.ndarray, "2 3"], sign: float) -> Float[np.ndarray, " 2"]:
    """Direction on the page (y down) of the left or right edge of a photo."""
    ray = np.array([sign * view.camera.width / 2 / view.camera.fx, 0.0, 1.0])
    right, ahead = axes @ view.T_world_camera[:3, :3] @ ray
    direction = np.array([right, -ahead])
    return direction / max(float(np.linalg.norm(direction)), 1e-9)


def _ties(
    views: Sequence[View],
    shared: Int[np.ndarray, "V V"],
    weak: Collection[tuple[int, int]],
    places: Sequence[np.ndarray],
) -> list[PlanTie]:
    few = len(views) <= _MOST_TIES
    pairs = [p for p in combinations(range(len(views)), 2) if p in weak or (few and shared[p] >= FIRM)]
    return [
        PlanTie(
            views[a].name, views[b].name, int(shared[a, b]), (a, b) in weak, *_rounded(places[a]), *_rounded(places[b])
        )
        for a, b in pairs
    ]


def _line(line: tuple[str, float, float, float, float]) -> tuple[str, float, float, float, float]:
    side, x1, y1, x2, y2 = line
    return side, *_rounded([x1, y1]), *_rounded([x2, y2])


def _rounded(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    x, y = values
    return round(float(x), 1), round(float(y), 1)
