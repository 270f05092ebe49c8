"""Distances between points picked in the photos of a run, with their uncertainty, and the scale from a known one.

A picked pixel becomes the point of the depth map that its ray meets. Depth maps belong to the cameras of
`cameras/`, so those are used and not the refined ones of `splat/`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import erfinv

from fewview.recon.depth.artifact import COMPLETED, DepthMap
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import transform
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.scale import PICK_PX
from fewview.recon.scene import Camera, View

RIGHT_WITHIN = 0.02
"""Confidence is the probability that a depth is right to this share of itself."""
_MAX_CONFIDENCE = 0.98
"""A depth surer than that is still taken to be wrong by a few thousandths."""
_GRAZING = 0.1


@dataclass(frozen=True)
class SurfacePoint:
    """A point of the scene, picked in a photo."""

    photo: str
    xy: tuple[float, float]
    """Pixels of the upright original."""
    xyz: Float[np.ndarray, " 3"]
    """World frame, scene units."""
    covariance: Float[np.ndarray, "3 3"]
    confidence: float
    completed: bool
    """The depth was guessed from its surroundings; no second photo confirms it."""


@dataclass(frozen=True)
class Distance:
    """A length between two surface points."""

    length: float
    """Scene units."""
    deviation: float
    """Standard deviation, scene units."""
    completed: bool
    """One of the ends is a guess."""


def pick(run: Path, photo: str, x: float, y: float) -> SurfacePoint:
    """The surface point that a pixel of a photo of a finished run shows.

    Args:
        run: folder of the run.
        photo: name of the photo.
        x, y: pixels of the upright original.

    Raises:
        InputError: the photo was not placed, the pixel lies outside it, or no depth is known there.
    """
    cameras = read_cameras(run / "cameras")
    view = next((view for view in cameras.views if view.name == photo), None)
    if view is None:
        raise InputError(f"{photo} was not placed, so nothing can be measured in it.", "Choose another photo.")
    key = next(each.key for each in load_photos(run / "photos") if each.name == photo)
    path = run / "depth" / f"{key}.npz"
    if not path.is_file():
        raise InputError(f"There is no depth of {photo} yet.", "Wait until the stage `depth` has finished.")
    return surface_point(view, DepthMap.load(path), (x, y), reprojection_px(cameras, photo))


def reprojection_px(cameras: CameraSet, photo: str) -> float:
    """Mean reprojection error of a photo in pixels of the original; 0 where it was not measured."""
    return next((verdict.reprojection_px or 0.0 for verdict in cameras.verdicts if verdict.name == photo), 0.0)


def surface_point(view: View, depth: DepthMap, xy: tuple[float, float], error_px: float = 0.0) -> SurfacePoint:
    """Where the ray of a pixel meets the surface of the depth map, and how sure that is.

    The error along the ray follows from the confidence, as of a normal distribution that lies within
    `RIGHT_WITHIN` with that probability, and from the depths of the neighbouring pixels; across the ray from the
    click and the camera's error.

    Args:
        view: at the resolution in which `xy` is given, with its distortion.
        depth: of the undistorted view, of any size.
        xy: pixel, centres at half-integers.
        error_px: reprojection error of the camera, pixels.

    Raises:
        InputError: the pixel lies outside the photo, or no depth is known there.
    """
    camera = view.camera
    if not (0 <= xy[0] <= camera.width and 0 <= xy[1] <= camera.height):
        raise InputError(
            f"The pixel {xy[0]:.0f}, {xy[1]:.0f} lies outside {view.name} ({camera.width} x {camera.height}).",
            "Pick a point in the photo.",
        )
    ray, focal = camera.rays_at(np.array(xy, np.float64)), math.sqrt(camera.fx * camera.fy)

    height, width = depth.depth.shape
    small = camera.pinhole().resized(width, height)
    column, row = (math.floor(place) for place in small.project(ray))
    inside = 0 <= row < height and 0 <= column < width
    if not inside or not np.isfinite(depth.depth[row, column]):
        raise InputError(
            f"No depth is known at {xy[0]:.0f}, {xy[1]:.0f} in {view.name}.",
            "Pick a point that other photos show too, away from sky, glass and mirrors.",
        )
    z = _refined(float(depth.depth[row, column]), depth.normal[row, column].astype(float), ray, small, row, column)
    near = depth.depth[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    step = float(np.nanmax(near) - np.nanmin(near)) / 2
    confidence = float(depth.confidence[row, column])
    along = math.hypot(z * relative_deviation(confidence), step)
    across = z / focal * math.hypot(PICK_PX * max(camera.width, camera.height) / 1000, error_px)

    R = view.T_world_camera[:3, :3]
    direction = ray / np.linalg.norm(ray)
    covariance = along**2 * np.outer(ray, ray) + across**2 * (np.eye(3) - np.outer(direction, direction))
    return SurfacePoint(
        view.name,
        (float(xy[0]), float(xy[1])),
        R @ (z * ray) + view.center,
        R @ covariance @ R.T,
        confidence,
        bool(depth.source[row, column] >= COMPLETED),
    )


def relative_deviation(confidence: float) -> float:
    """Standard deviation of the relative error of a depth that is within `RIGHT_WITHIN` with this probability."""
    return RIGHT_WITHIN / (math.sqrt(2) * float(erfinv(min(max(confidence, 0.01), _MAX_CONFIDENCE))))


def distance(a: SurfacePoint, b: SurfacePoint) -> Distance:
    """The length between two points and its standard deviation, to first order; their errors count as independent.

    Raises:
        InputError: both are one point.
    """
    between = b.xyz - a.xyz
    length = float(np.linalg.norm(between))
    if length == 0:
        raise InputError("Both picks are one point.", "Pick two points that are apart.")
    direction = between / length
    variance = direction @ (a.covariance + b.covariance) @ direction
    return Distance(length, math.sqrt(float(variance)), a.completed or b.completed)


def known_length(a: SurfacePoint, b: SurfacePoint, metres: float, views: Sequence[View]) -> str:
    """The value of `--scale` that says how long the way from `a` to `b` is (`fewview.recon.sfm.scale`).

    Each point is picked a second time, where another photo sees it: from the widest angle.

    Raises:
        InputError: the length is not positive, or no other photo shows one of the points.
    """
    if not (math.isfinite(metres) and metres > 0):
        raise InputError(f"{metres} is no length in metres.", "Give a number above zero, such as 2.05.")
    return f"{_picks(a, views)}:{_picks(b, views)}={metres:g}"


def _picks(point: SurfacePoint, views: Sequence[View]) -> str:
    home = next(view for view in views if view.name == point.photo)
    towards = _unit(point.xyz - home.center)
    seen = [(view, xy) for view in views if view is not home and (xy := project(view, point.xyz)) is not None]
    if not seen:
        raise InputError(
            f"No photo but {point.photo} shows the point at {point.xy[0]:.0f}, {point.xy[1]:.0f}.",
            "Pick points that two photos show.",
        )
    other, xy = min(seen, key=lambda each: float(towards @ _unit(point.xyz - each[0].center)))
    return f"{home.name}@{point.xy[0]:.4f},{point.xy[1]:.4f}+{other.name}@{xy[0]:.4f},{xy[1]:.4f}"


def project(view: View, xyz: Float[np.ndarray, " 3"]) -> tuple[float, float] | None:
    """The pixel of a world point in a photo with its distortion, or None where it lies outside or behind."""
    u, v = view.camera.project(transform(view.T_camera_world, xyz)).tolist()
    return (u, v) if 0 <= u <= view.camera.width and 0 <= v <= view.camera.height else None


def _unit(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return vector / np.linalg.norm(vector)


def _refined(
    z: float,
    normal: Float[np.ndarray, " 3"],
    ray: Float[np.ndarray, " 3"],
    camera: Camera,
    row: int,
    column: int,
) -> float:
    """Depth on the plane of the pixel's surface where the ray meets it, rather than that of the pixel's centre."""
    center = camera.rays_at(np.array([column + 0.5, row + 0.5]))
    slope = float(normal @ ray)
    if not np.isfinite(normal).all() or abs(slope) < _GRAZING * np.linalg.norm(ray):
        return z
    return z * float(normal @ center) / slope
