"""Seams of the layout drawn to edges of the photos: floor, ceiling and walls move until their seams lie on image edges.

Depth errs by a share of the distance, and all maps of a scene may err alike; where a seam is seen in several photos,
the cameras' own geometry says where it is. Metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from fewview.layout import tolerances as tol
from fewview.layout.model import RoomLayout
from fewview.layout.raycast import first_hits
from fewview.layout.surfaces import DepthView
from fewview.recon.geometry.least_squares import GemanMcClure
from fewview.recon.scene import Camera, PosedImage


@dataclass(frozen=True)
class Sighting:
    """An image edge that a piece of a seam may be."""

    slope: Float[np.ndarray, " P"]
    """Pixels by which the piece moves across itself per metre of every parameter (floor, ceiling, walls' offsets)."""
    offset_px: float
    """Where the edge lies, across the seam."""


def refine(layout: RoomLayout, views: Sequence[DepthView], photos: Sequence[PosedImage]) -> RoomLayout:
    """The layout with floor, ceiling and walls moved along their normals; their directions stay.

    Args:
        layout: metres.
        views, photos: of the same photos, in metres, in the layout's world.
    """
    sightings = [s for view, photo in zip(views, photos, strict=True) for s in _sightings(layout, view, photo)]
    return layout.moved(solve(sightings, 2 + len(layout.walls)))


def solve(sightings: Sequence[Sighting], parameters: int) -> Float[np.ndarray, " P"]:
    """Moves of the parameters, metres: reweighted least squares with the error of Geman and McClure (1985).

    All edges that a piece may be have a say; the rounds' narrowing error leaves those that agree with one another.
    """
    x = np.zeros(parameters)
    if not sightings:
        return x
    A = np.stack([sighting.slope for sighting in sightings])
    offsets = np.array([sighting.offset_px for sighting in sightings])
    for kernel in map(GemanMcClure, tol.SEAM_SIGMAS_PX):
        for _ in range(5):
            weight = tol.SEAM_WEIGHT * kernel.weight((offsets - A @ x) ** 2)
            normal = (A * weight[:, None]).T @ A + np.eye(parameters) / tol.SEAM_PRIOR_M**2
            x = np.linalg.solve(normal, (A * weight[:, None]).T @ offsets)
    return x


def _seams(layout: RoomLayout) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Start, end, and how points of the seam move with the parameters, (3, P)."""
    count = len(layout.walls)
    for index, wall in enumerate(layout.walls):
        for level, slab in enumerate((layout.floor, layout.ceiling)):
            motion = np.zeros((3, 2 + count))
            motion[:2, 2 + index], motion[2, level] = wall.normal, 1
            yield np.array([*wall.start, slab.height]), np.array([*wall.end, slab.height]), motion
        before = layout.walls[index - 1]
        motion = np.zeros((3, 2 + count))
        motion[:2, [2 + (index - 1) % count, 2 + index]] = np.linalg.inv(np.stack([before.normal, wall.normal]))
        low, high = layout.floor.height, layout.ceiling.height
        yield np.array([*wall.start, low]), np.array([*wall.start, high]), motion


def _sightings(layout: RoomLayout, view: DepthView, photo: PosedImage) -> Iterator[Sighting]:
    camera = photo.camera.fitted(tol.EDGE_LONG_SIDE_PX)
    size = (camera.width, camera.height)
    grey: Any = cv2.cvtColor(photo.image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    grey = cv2.GaussianBlur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    gradient = np.stack([cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)], -1) / 32
    R = (layout.R_room_world @ photo.T_world_camera[:3, :3]).T
    eye = layout.R_room_world @ photo.T_world_camera[:3, 3]
    for start, end, motion in _seams(layout):
        places, depth, points = _visible(layout, start, end, R, eye, camera, view)
        for piece in np.array_split(
            np.arange(len(places)), max(1, round(len(places) * tol.SEAM_STEP_PX / tol.SEAM_PIECE_PX))
        ):
            if len(piece) * tol.SEAM_STEP_PX < tol.SEAM_PIECE_PX / 2:
                continue
            way = places[piece[-1]] - places[piece[0]]
            across = np.array([-way[1], way[0]]) / np.linalg.norm(way)
            z = float(depth[piece].mean())
            offsets = _edges_across(gradient, places[piece], across, tol.SEAM_REACH_M * camera.fx / z)
            local = R @ (points[piece].mean(0) - eye)
            project = np.array([[camera.fx, 0, -camera.fx * local[0] / local[2]],
                                [0, camera.fy, -camera.fy * local[1] / local[2]]]) / local[2]  # fmt: skip
            slope = across @ project @ R @ motion
            yield from (Sighting(slope, float(offset)) for offset in offsets)


def _visible(
    layout: RoomLayout,
    start: np.ndarray,
    end: np.ndarray,
    R: np.ndarray,
    eye: np.ndarray,
    camera: Camera,
    view: DepthView,
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"], Float[np.ndarray, "N 3"]]:
    """Pixels, depths and points of a seam, `SEAM_STEP_PX` apart, where neither the room nor furniture hides it."""
    ends = (np.stack([start, end]) - eye) @ R.T
    if (ends[:, 2] < tol.SEAM_NEAR_M).all():
        return np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3))
    if (ends[:, 2] < tol.SEAM_NEAR_M).any():
        share = (tol.SEAM_NEAR_M - ends[0, 2]) / (ends[1, 2] - ends[0, 2])
        cut = start + share * (end - start)
        start, end = (cut, end) if ends[0, 2] < tol.SEAM_NEAR_M else (start, cut)
        ends = (np.stack([start, end]) - eye) @ R.T
    pixels = camera.project(ends)
    count = int(min(float(np.linalg.norm(pixels[1] - pixels[0])) / tol.SEAM_STEP_PX, 4000)) + 1
    # Even steps in the image are even steps in inverse depth.
    s = np.linspace(0, 1, count)
    inverse = (1 - s) / ends[0, 2] + s / ends[1, 2]
    share = s / ends[1, 2] / inverse
    points = start + share[:, None] * (end - start)
    places = pixels[0] + s[:, None] * (pixels[1] - pixels[0])
    inside = ((places > 1) & (places < [camera.width - 1, camera.height - 1])).all(1)
    places, points, depth = places[inside], points[inside], 1 / inverse[inside]
    column, row = places.astype(int).T
    real = view.depth[row * view.depth.shape[0] // camera.height, column * view.depth.shape[1] // camera.width]
    shell = first_hits(layout, eye, (points - eye) / depth[:, None])[1]
    free = (np.abs(shell / depth - 1) < tol.SEAM_SHELL) & (np.abs(real / depth - 1) < tol.SEAM_HIDDEN)
    return places[free], depth[free], points[free]


def _edges_across(
    gradient: Float[np.ndarray, "H W 2"], places: Float[np.ndarray, "N 2"], across: np.ndarray, reach_px: float
) -> Float[np.ndarray, " K"]:
    """Places of up to three image edges parallel to a piece of a seam, pixels across it."""
    reach = float(np.clip(reach_px, 4, 30))
    t = np.arange(-reach, reach + 0.25, 0.5)
    at = places[:, None] + t[:, None] * across
    column, row = np.moveaxis(at.astype(np.float32) - 0.5, -1, 0)
    response = cv2.remap(gradient, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Signed, so that texture cancels along the piece and an edge does not.
    profile = np.abs((response @ across).mean(0))
    peak = np.flatnonzero((profile[1:-1] > profile[:-2]) & (profile[1:-1] >= profile[2:])) + 1
    peak = peak[profile[peak] > max(tol.SEAM_CONTRAST, tol.SEAM_PROMINENCE * float(np.median(profile)))]
    peak = peak[np.argsort(-profile[peak])][:3]
    a, b, c = profile[peak - 1], profile[peak], profile[peak + 1]
    return t[peak] + 0.25 * (a - c) / (a - 2 * b + c)
