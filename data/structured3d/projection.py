"""What a camera in an empty room sees of floor, ceiling and walls: exact polygons in its image."""

from __future__ import annotations

import math

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.geometry import MultiPolygon, Polygon

from fewview.recon.geometry.pose import transform
from fewview.recon.scene import Camera, View

_NEAR_M = 1e-3
_SMALLEST_PX2 = 1e-3


def visible_pieces(
    polygon: Float[np.ndarray, "N 2"], eye: Float[np.ndarray, " 2"]
) -> list[tuple[int, Float[np.ndarray, "2 2"]]]:
    """(edge, part of it) that the eye sees, counterclockwise around it; neighbouring parts of an edge are one.

    Args:
        polygon: corners of a simple polygon that holds the eye.
    """
    following = np.roll(polygon, -1, 0)
    angles = np.unique(np.arctan2(*(polygon - eye).T[::-1]))
    pieces: list[tuple[int, Float[np.ndarray, "2 2"]]] = []
    for a, b in zip(angles, [*angles[1:], angles[0] + 2 * math.pi], strict=True):
        if b - a < 1e-9:
            continue
        edge = int(np.argmin(_distances(polygon, following, eye, (a + b) / 2)))
        part = np.stack([_hit(polygon[edge], following[edge], eye, angle) for angle in (a, b)])
        if pieces and pieces[-1][0] == edge and np.allclose(pieces[-1][1][1], part[0], atol=1e-9):
            pieces[-1] = (edge, np.stack([pieces[-1][1][0], part[1]]))
        else:
            pieces.append((edge, part))
    if len(pieces) > 1 and pieces[0][0] == pieces[-1][0] and np.allclose(pieces[0][1][0], pieces[-1][1][1], atol=1e-9):
        edge, last = pieces.pop()
        pieces[0] = (edge, np.stack([last[0], pieces[0][1][1]]))
    return pieces


def corners_in_sight(polygon: Float[np.ndarray, "N 2"], eye: Float[np.ndarray, " 2"]) -> Bool[np.ndarray, " N"]:
    """Which corners no edge hides from the eye."""
    following = np.roll(polygon, -1, 0)
    away = np.linalg.norm(polygon - eye, axis=1)
    angles = np.arctan2(*(polygon - eye).T[::-1])
    nearest = [_distances(polygon, following, eye, angle).min() for angle in angles]
    return np.array(nearest) > away - 1e-6


def project(points: Float[np.ndarray, "N 3"], view: View) -> list[Float[np.ndarray, "_ 2"]]:
    """The image of a flat polygon, cut by the image's borders: none, one or several polygons, pixels."""
    local = transform(view.T_camera_world, points)
    for normal, offset in _frustum(view.camera):
        local = _cut(local, normal, offset)
        if len(local) < 3:
            return []
    pixels = view.camera.project(local)
    # A polygon that is not convex falls into parts that the cutting leaves joined along the border.
    whole = shapely.make_valid(Polygon(pixels), method="structure")
    parts = whole.geoms if isinstance(whole, MultiPolygon) else [whole]
    return [
        np.array(shapely.remove_repeated_points(part, 1e-6).exterior.coords)[:-1]
        for part in parts
        if isinstance(part, Polygon) and part.area > _SMALLEST_PX2
    ]


def _distances(
    start: Float[np.ndarray, "N 2"], end: Float[np.ndarray, "N 2"], eye: Float[np.ndarray, " 2"], angle: float
) -> Float[np.ndarray, " N"]:
    """How far the ray at an angle goes to every segment, infinite for those that it misses."""
    d, e, w = np.array([math.cos(angle), math.sin(angle)]), end - start, start - eye
    across = d[0] * e[:, 1] - d[1] * e[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (w[:, 0] * e[:, 1] - w[:, 1] * e[:, 0]) / across
        s = (w[:, 0] * d[1] - w[:, 1] * d[0]) / across
    meets = (np.abs(across) > 1e-12) & (t > 0) & (s >= -1e-9) & (s <= 1 + 1e-9)
    return np.where(meets, t, np.inf)


def _hit(start: np.ndarray, end: np.ndarray, eye: np.ndarray, angle: float) -> Float[np.ndarray, " 2"]:
    """Where the ray meets the line of a segment."""
    d, e, w = np.array([math.cos(angle), math.sin(angle)]), end - start, start - eye
    t = (w[0] * e[1] - w[1] * e[0]) / (d[0] * e[1] - d[1] * e[0])
    return eye + t * d


def _frustum(camera: Camera) -> list[tuple[np.ndarray, float]]:
    """Half spaces n . X >= offset that hold what the camera sees."""
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = -camera.cy / camera.fy, (camera.height - camera.cy) / camera.fy
    sides = ([0, 0, 1.0], [1.0, 0, -left], [-1.0, 0, right], [0, 1.0, -top], [0, -1.0, bottom])
    return [(np.array(side), _NEAR_M if index == 0 else 0.0) for index, side in enumerate(sides)]


def _cut(points: Float[np.ndarray, "N 3"], normal: np.ndarray, offset: float) -> Float[np.ndarray, "M 3"]:
    """The part of a polygon in a half space (Sutherland and Hodgman 1974)."""
    height = points @ normal - offset
    out = []
    for p, q, a, b in zip(points, np.roll(points, -1, 0), height, np.roll(height, -1), strict=True):
        if a >= 0:
            out.append(p)
        if (a > 0 > b) or (a < 0 < b):
            out.append(p + a / (a - b) * (q - p))
    return np.array(out).reshape(-1, 3)
