"""How probable it is that a rectangle of a wall, behind which depth maps see, is an opening.

What deceives: a mirror, behind which every photo sees the room once more; and a patch of depth that is wrong, behind
which no two photos see the same. A logistic regression on what speaks for and against, fitted by
`python -m tests.benchmarks.openings` to rooms with openings, mirrors and patches of wrong depth; every weight can only
have the sign that reason gives it. Fitted to 130 rooms and judged on 80 others: of 61 candidates that are openings 59
are drawn, of 44 that are none 4; stated .07, right .00 (24 candidates); .33, .11 (18); .70, .88 (25); .90, 1.00 (23);
.96, .93 (15). A window whose view ends where a mirror would show the wall opposite is taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from fewview.layout import tolerances as tol
from fewview.layout.model import RoomLayout, Wall
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import Camera

SIGNS: Mapping[str, int] = {
    "bias": 0,
    "confidence": 1,
    "agreement": 1,
    "contradiction": -1,
    "mirrored": -1,
    "step": 1,
    "deep": 1,
}
"""1: speaks for an opening; -1: against it; 0: either. Tried and left out, for a fit gave them no weight: the shares of
the cells that are open, and that are known, of the frame that is wall, and how many views see through it."""
WEIGHTS: Mapping[str, float] = {
    "bias": -6.136,
    "confidence": 2.541,
    "agreement": 2.756,
    "contradiction": -1.522,
    "mirrored": -9.529,
    "step": 5.621,
    "deep": 5.646,
}


@dataclass(frozen=True)
class WallRays:
    """Rays of all views towards one wall."""

    along: Float[np.ndarray, " N"]
    """Where they meet its plane, metres from the wall's start."""
    up: Float[np.ndarray, " N"]
    """The same above the floor."""
    behind: Float[np.ndarray, " N"]
    """How far behind the plane they end."""
    limit: Float[np.ndarray, " N"]
    """What is less behind is the wall itself."""
    confidence: Float[np.ndarray, " N"]
    view: Int[np.ndarray, " N"]
    end: Float[np.ndarray, "N 3"]
    """Room frame."""

    def inside(self, start: float, end: float, low: float, high: float) -> Bool[np.ndarray, " N"]:
        return (self.along > start) & (self.along < end) & (self.up > low) & (self.up < high)

    def take(self, which: Bool[np.ndarray, " N"]) -> WallRays:
        return WallRays(
            self.along[which], self.up[which], self.behind[which], self.limit[which], self.confidence[which],
            self.view[which], self.end[which],
        )  # fmt: skip


@dataclass(frozen=True)
class SmallView:
    """A depth map at the size of the rays, its scale set to the room's."""

    camera: Camera
    T_room_camera: Float[np.ndarray, "4 4"]
    depth: Float[np.ndarray, "H W"]


@dataclass(frozen=True)
class Seen:
    """What all views see."""

    views: Sequence[SmallView]
    indoors: cKDTree
    """Ends of rays in the room."""


def measures(
    rays: WallRays,
    rectangle: tuple[float, float, float, float],
    layout: RoomLayout,
    wall: Wall,
    seen: Seen,
) -> dict[str, float]:
    """What the rays through a rectangle (start, end, low, high; metres) say of it."""
    rays = rays.take(rays.inside(*rectangle))
    through = rays.take(rays.behind > rays.limit)
    if not len(through.along):
        return {name: 0.0 for name in ("confidence", "agreement", "contradiction", "mirrored", "step", "deep")}
    agreement, contradiction = _agreement(through, rectangle, layout, wall, seen)
    return {
        "confidence": float(through.confidence.mean()),
        "agreement": agreement,
        "contradiction": contradiction,
        # Much of a space behind a door may lie by chance where a mirror would show the room: nearly all of it does not.
        "mirrored": _mirrored(through, layout, wall, seen) ** 4,
        "step": _step(rays, rectangle),
        "deep": float(np.log(min(np.median(through.behind), tol.DEEP_M))),
    }


def probability(told: Mapping[str, float], weights: Mapping[str, float] = WEIGHTS) -> float:
    odds = weights["bias"] + sum(weights[name] * value for name, value in told.items())
    return float(1 / (1 + np.exp(-odds)))


def _mirrored(through: WallRays, layout: RoomLayout, wall: Wall, seen: Seen) -> float:
    """Share of the ends behind the wall that, mirrored in it, lie on walls or on what is seen in the room.

    Floor, ceiling and walls across this one often go on behind an opening, too: what lies on them does not count.
    """
    reach = tol.MIRROR_REACH_M + tol.MIRROR_REACH_SHARE * through.behind
    back = through.end.copy()
    back[:, :2] += 2 * through.behind[:, None] * wall.normal
    below, above = layout.floor.height - back[:, 2], back[:, 2] - layout.ceiling.height
    # No mirror shows what lies under the floor or over the ceiling.
    beyond = (below > reach) | (above > reach)
    telling = (below < -reach) & (above < -reach)
    facing = []
    for other in layout.walls:
        if abs(other.normal @ wall.normal) < tol.ACROSS_COSINE:
            telling &= np.abs((back[:, :2] - other.start) @ other.normal) > reach
        else:
            facing.append([other.start, other.end])
    if not telling.any():
        return 0.0
    near, _ = seen.indoors.query(back[telling])
    shell = shapely.distance(shapely.MultiLineString(facing), shapely.points(back[telling, :2]))
    shown = np.count_nonzero(np.minimum(near, shell) < reach[telling])
    return float(shown / np.count_nonzero(telling | beyond))


def _step(rays: WallRays, rectangle: tuple[float, float, float, float]) -> float:
    """How deep it is just inside the edges, over how deep in the middle, at most 1: an opening is cut, wrong depth
    sags."""
    start, end, low, high = rectangle
    aside = np.minimum(rays.along - start, end - rays.along) / (end - start)
    upright = np.minimum(rays.up - low, high - rays.up) / (high - low)
    # Below, rays through a door end on the floor behind it.
    edge = (np.minimum(aside, upright) < tol.EDGE_SHARE) & (rays.up > low + (high - low) / 2)
    middle = np.minimum(aside, upright) > 2 * tol.EDGE_SHARE
    if not (edge.any() and middle.any()):
        return 0.0
    return float(np.clip(np.median(rays.behind[edge]) / max(float(np.median(rays.behind[middle])), 1e-3), 0, 1))


def _agreement(
    through: WallRays,
    rectangle: tuple[float, float, float, float],
    layout: RoomLayout,
    wall: Wall,
    seen: Seen,
) -> tuple[float, float]:
    """Of the ends behind the wall that other views look at through the rectangle: the share that these see there, and
    the share that they do not; both 0 where no other view looks."""
    start, end, low, high = rectangle
    agree = disagree = 0
    for index, view in enumerate(seen.views):
        points = through.end[through.view != index]
        eye = view.T_room_camera[:3, 3]
        before = float((eye[:2] - wall.start) @ wall.normal)
        if not len(points) or before <= 0:
            continue
        behind = -(points[:, :2] - wall.start) @ wall.normal
        hit = eye + (before / (before + behind))[:, None] * (points - eye)
        along, up = (hit[:, :2] - wall.start) @ wall.direction, hit[:, 2] - layout.floor.height
        local = transform(np.linalg.inv(view.T_room_camera), points)
        u, v = view.camera.project(local).T
        looks = (along > start) & (along < end) & (up > low) & (up < high) & (behind > 0)
        with np.errstate(invalid="ignore"):
            looks &= (u >= 0) & (u < view.camera.width) & (v >= 0) & (v < view.camera.height)
        there = view.depth[v[looks].astype(int), u[looks].astype(int)]
        known = np.isfinite(there)
        same = np.abs(there[known] / local[looks, 2][known] - 1) < tol.AGREE_SHARE
        agree, disagree = agree + int(same.sum()), disagree + int((~same).sum())
    looked = max(agree + disagree, 1)
    return agree / looked, disagree / looked
