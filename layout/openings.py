"""Doors, windows and passages: rectangles of a wall behind whose plane the depth maps see. Metres.

A closed door or a curtained window leaves no trace in depth: it is absent, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from fewview.layout import tolerances as tol
from fewview.layout.model import Opening, OpeningKind, RoomLayout, Wall
from fewview.layout.opening_odds import Seen, SmallView, WallRays, measures, probability
from fewview.layout.raycast import FIRST_WALL, first_hits, on_wall, room_rays
from fewview.layout.surfaces import DepthView


@dataclass(frozen=True)
class WallEvidence:
    """What rays tell about a wall, on a grid of cells: rows upwards from the floor, columns along the wall."""

    value: Float[np.ndarray, "Z T"]
    """-1 wall, 1 open, 0 between; NaN where no ray tells."""
    beyond: Float[np.ndarray, "Z T"]
    """Mean distance behind the wall's plane at which rays end."""
    rays: WallRays


def find_openings(layout: RoomLayout, views: Sequence[DepthView]) -> RoomLayout:
    """The layout with the openings of its observed walls.

    Args:
        layout: metres.
        views: metres, the layout's world.
    """
    walls = list(layout.walls)
    for index, opening, told in candidates(layout, views):
        confidence = round(probability(told), 3)
        if confidence >= tol.DRAWN:
            found = (*walls[index].openings, replace(opening, confidence=confidence))
            walls[index] = replace(walls[index], openings=found)
    return replace(layout, walls=tuple(walls))


def candidates(layout: RoomLayout, views: Sequence[DepthView]) -> list[tuple[int, Opening, dict[str, float]]]:
    """What may be openings of observed walls, along each: the wall's index, the rectangle, and what speaks for it."""
    evidence, seen = gather_evidence(layout, views)
    out = []
    for index, (wall, found) in enumerate(zip(layout.walls, evidence, strict=True)):
        for opening in _openings(wall, layout.height, found) if wall.observed else []:
            rectangle = (opening.start, opening.end, opening.low, opening.high)
            out.append((index, opening, measures(found.rays, rectangle, layout, wall, seen)))
    return out


def gather_evidence(layout: RoomLayout, views: Sequence[DepthView]) -> tuple[list[WallEvidence], Seen]:
    """Of every wall, and what all views see. Rays that end in the room, before the wall, tell nothing about it."""
    shapes = [_shape(wall.length, layout.height) for wall in layout.walls]
    sums = [np.zeros((3, *shape)) for shape in shapes]
    parts: list[list[WallRays]] = [[] for _ in layout.walls]
    smalls, indoors = [], []
    for number, view in enumerate(views):
        small = view.camera.fitted(tol.OPENING_LONG_SIDE_PX)
        rows = ((np.arange(small.height) + 0.5) * view.camera.height / small.height).astype(int)
        columns = ((np.arange(small.width) + 0.5) * view.camera.width / small.width).astype(int)
        depth, confidence = view.depth[np.ix_(rows, columns)], view.confidence[np.ix_(rows, columns)]
        eye, rays = room_rays(layout, small, view.T_world_camera)
        labels, shell = first_hits(layout, eye, rays)
        ratio = depth / shell
        near = np.abs(ratio - 1) < tol.OPENING_SAME
        scale = float(np.median(ratio[near])) if near.any() else 1.0
        ratio /= scale
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = layout.R_room_world @ view.T_world_camera[:3, :3], eye
        smalls.append(SmallView(small, T, depth / scale))
        inside = np.isfinite(ratio) & (confidence > 0) & (ratio < 1 + tol.OPENING_SAME)
        indoors.append(eye + (shell * ratio)[inside][:, None] * rays[inside])
        for index, wall in enumerate(layout.walls):
            here = (labels == FIRST_WALL + index) & np.isfinite(ratio) & (confidence > 0)
            away = float((eye[:2] - wall.start) @ wall.normal)
            beyond = away * (ratio[here] - 1)
            limit = 1.5 * (tol.OPENING_NOISE_M + tol.OPENING_NOISE_SHARE * depth[here])
            value = np.clip(beyond / limit - 1, -1, 1)
            along, up = on_wall(layout, index, eye + shell[here][:, None] * rays[here])
            place = (
                np.clip((up / tol.OPENING_CELL_M).astype(int), 0, shapes[index][0] - 1),
                np.clip((along / tol.OPENING_CELL_M).astype(int), 0, shapes[index][1] - 1),
            )
            ends = eye + (shell * ratio)[here][:, None] * rays[here]
            many = np.full(len(along), number)
            parts[index].append(WallRays(along, up, beyond, limit, confidence[here], many, ends))
            tells = beyond > -limit
            cell, weight = np.ravel_multi_index(place, shapes[index])[tells], confidence[here][tells]
            for total, told in zip(sums[index], (1.0, value[tells], np.minimum(beyond[tells], 1.0)), strict=True):
                total += np.bincount(cell, weight * told, total.size).reshape(total.shape)
    out = []
    for total, told in zip(sums, parts, strict=True):
        # Far away and at a slant, rays are farther apart than cells.
        weight, value, beyond = (cv2.blur(part, (3, 3), borderType=cv2.BORDER_CONSTANT) for part in total)
        known = weight > tol.KNOWN_WEIGHT
        weight = np.where(known, weight, np.nan)
        whole = WallRays(*(np.concatenate([getattr(part, each.name) for part in told]) for each in fields(WallRays)))
        out.append(WallEvidence(value / weight, beyond / weight, whole))
    cloud = np.concatenate(indoors)
    return out, Seen(smalls, cKDTree(cloud[:: max(1, -(-len(cloud) // tol.INDOOR_POINTS))]))


def best_rectangle(value: Float[np.ndarray, "Z T"]) -> tuple[int, int, int, int]:
    """The rectangle [z0, z1) x [t0, t1) with the largest sum (Kadane's algorithm along t for every pair of rows)."""
    rows = np.concatenate([np.zeros((1, value.shape[1])), np.cumsum(value, 0)])
    low, high = np.triu_indices(len(rows), 1)
    along = np.concatenate([np.zeros((len(low), 1)), np.cumsum(rows[high] - rows[low], 1)], 1)
    least = np.minimum.accumulate(along, 1)
    gain = along - least
    pair, end = np.unravel_index(int(np.argmax(gain)), gain.shape)
    start = int(np.argmax(along[pair] == least[pair, end]))
    return int(low[pair]), int(high[pair]), start, int(end)


def _openings(wall: Wall, height: float, evidence: WallEvidence) -> list[Opening]:
    known = np.isfinite(evidence.value)
    value = np.where(known, evidence.value, tol.UNKNOWN_VALUE)
    wide = np.ones((tol.BRIDGE, tol.BRIDGE), np.uint8)
    bridged = cv2.morphologyEx((value > 0).astype(np.uint8), cv2.MORPH_CLOSE, wide, borderValue=0)
    # What is between two openings is seen to be wall; what merely hides a strip of one does not split it.
    count, part = cv2.connectedComponents(((value > 0) | ((bridged > 0) & ~known)).astype(np.uint8), connectivity=4)
    out = []
    for label in range(1, count):
        z0, z1, t0, t1 = best_rectangle(np.where((part == label) | (value <= 0), value, -1.0))
        if (z1 - z0) * (t1 - t0) * tol.OPENING_CELL_M**2 > tol.MIN_AREA_M2:
            found = _judged(wall, height, evidence, z0, z1, t0, t1)
            out += [found] if found is not None else []
    return sorted(out, key=lambda opening: opening.start)


def _judged(wall: Wall, height: float, evidence: WallEvidence, z0: int, z1: int, t0: int, t1: int) -> Opening | None:
    """What may be an opening, or None where the rectangle is none."""
    inside = evidence.value[z0:z1, t0:t1]
    known = np.isfinite(inside)
    beyond = evidence.beyond[z0:z1, t0:t1][known]
    if known.mean() < tol.MIN_KNOWN or np.median(beyond) < tol.REVEAL_M or (inside[known] > 0).mean() < tol.MIN_OPEN:
        return None
    frame = round(tol.FRAME_M / tol.OPENING_CELL_M)
    low = 0.0 if z0 * tol.OPENING_CELL_M < tol.SILL_M else z0 * tol.OPENING_CELL_M
    to_top = height - z1 * tol.OPENING_CELL_M < tol.FRAME_M
    sides = [evidence.value[z0:z1, max(t0 - frame, 0) : t0], evidence.value[z0:z1, t1 : t1 + frame]]
    if not to_top:
        sides.append(evidence.value[z1 : z1 + frame, t0:t1])
    elif low > 0:
        return None  # no wall above it and wall below: the top of something that stands before the true wall
    shares = [float((side[np.isfinite(side)] < 0).mean()) if np.isfinite(side).any() else 0.0 for side in sides]
    if sum(share > tol.MIN_FRAME for share in shares) < len(sides) - (not to_top):
        return None
    start, end = t0 * tol.OPENING_CELL_M, min(t1 * tol.OPENING_CELL_M, wall.length)
    high = height if to_top else z1 * tol.OPENING_CELL_M
    if min(end - start, high - low) < tol.MIN_SIDE_M:
        return None
    return Opening(_kind(end - start, low, high), start, end, low, high, math.nan)


def _kind(width: float, low: float, high: float) -> OpeningKind:
    if low > 0:
        return "window"
    return "door" if width <= tol.DOOR_WIDTH_M and high >= tol.DOOR_HEIGHT_M else "opening"


def _shape(length: float, height: float) -> tuple[int, int]:
    return max(1, int(np.ceil(height / tol.OPENING_CELL_M))), max(1, int(np.ceil(length / tol.OPENING_CELL_M)))
