"""Oriented surface points of depth maps: what the layout is estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from fewview.layout import tolerances as tol
from fewview.recon.geometry.pose import invert_rigid, transform
from fewview.recon.scene import Camera


@dataclass(frozen=True)
class DepthView:
    """One posed depth map."""

    name: str
    camera: Camera
    """Pinhole, at the size of `depth`."""
    T_world_camera: Float[np.ndarray, "4 4"]
    depth: Float[np.ndarray, "H W"]
    """z-depth, NaN = unknown."""
    confidence: Float[np.ndarray, "H W"]
    """In [0, 1]."""

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        return self.T_world_camera[:3, 3]

    def transformed(self, R: Float[np.ndarray, "3 3"], scale: float = 1.0) -> DepthView:
        """The view in another world frame X' = scale R X."""
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R @ self.T_world_camera[:3, :3], scale * R @ self.center
        return replace(self, T_world_camera=T, depth=self.depth * scale)


@dataclass(frozen=True)
class Surfaces:
    """Oriented points, world frame."""

    xyz: Float[np.ndarray, "N 3"]
    normal: Float[np.ndarray, "N 3"]
    """Unit, towards the camera."""
    weight: Float[np.ndarray, " N"]
    """Area that the point stands for, square units, times confidence; 0: it blocks the view, but is no wall."""
    view: Int[np.ndarray, " N"]
    centers: Float[np.ndarray, "V 3"]
    """Of the cameras."""

    def take(self, which: Bool[np.ndarray, " N"]) -> Surfaces:
        return Surfaces(self.xyz[which], self.normal[which], self.weight[which], self.view[which], self.centers)

    def rotated(self, R: Float[np.ndarray, "3 3"]) -> Surfaces:
        return replace(self, xyz=self.xyz @ R.T, normal=self.normal @ R.T, centers=self.centers @ R.T)

    def scaled(self, factor: float) -> Surfaces:
        return replace(self, xyz=self.xyz * factor, weight=self.weight * factor**2, centers=self.centers * factor)

    def rescaled(self, scales: Float[np.ndarray, " V"]) -> Surfaces:
        """Every view's depth multiplied by its scale: points move along their rays."""
        origin = self.centers[self.view]
        return replace(self, xyz=origin + scales[self.view][:, None] * (self.xyz - origin))


def gather(views: Sequence[DepthView]) -> Surfaces:
    """Points of all views on a coarse grid, with normals and depth from plane fits around them."""
    parts = [_points(view) for view in views]
    return Surfaces(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        np.repeat(np.arange(len(views)), [len(part[0]) for part in parts]),
        np.stack([view.center for view in views]),
    )


def _points(view: DepthView) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = view.depth.shape
    camera = view.camera
    x, y = camera.slopes()
    step = max(1, round(max(width, height) / tol.GRID))
    rows, columns = (grid.ravel() for grid in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    window = max(3, round(tol.WINDOW_SHARE * max(width, height)) | 1)
    w, slope, residual = _plane_fits(view.depth, x, y, window, rows, columns)
    ray = np.stack([x[columns], y[rows], np.ones(len(rows))], 1)
    # Along the ray the plane's inverse depth is w; (slopes, the rest) is its normal, away from the camera.
    normal = np.stack([*slope, w - (slope * ray[:, :2].T).sum(0)], 1)
    length = np.linalg.norm(normal, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = -normal / length[:, None]
        slant = -(normal * ray).sum(1) / np.linalg.norm(ray, axis=1)
        area = step**2 / (w**2 * camera.fx * camera.fy * np.maximum(slant, tol.SLANT_FLOOR))
    good = np.isfinite(w) & (w > 0) & np.isfinite(normal).all(1) & (slant > 0)
    typical = float(np.median(residual[np.isfinite(residual)])) if np.isfinite(residual).any() else 0.0
    good &= residual < max(tol.MAX_RESIDUAL * typical, tol.MIN_RESIDUAL)
    R, center = view.T_world_camera[:3, :3], view.center
    xyz = (ray[good] / w[good, None]) @ R.T + center
    confidence = view.confidence[rows, columns][good]
    weight = np.where(confidence < tol.LEAST_CONFIDENCE, 0, area[good] * confidence)
    return xyz, normal[good] @ R.T, weight


def _plane_fits(
    depth: Float[np.ndarray, "H W"],
    x: Float[np.ndarray, " W"],
    y: Float[np.ndarray, " H"],
    window: int,
    rows: Int[np.ndarray, " N"],
    columns: Int[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "2 N"], Float[np.ndarray, " N"]]:
    """Least squares 1 / z = a x + b y + c in windows around some pixels: a plane is exactly that.

    Returns:
        Inverse depth at the pixel, (a, b), and the residual's root mean square relative to the inverse depth. NaN
        where more than half of the window is unknown.
    """
    known = np.isfinite(depth)
    one, w = known.astype(float), np.where(known, 1 / np.where(known, depth, 1), 0)
    half = window // 2
    top, bottom = np.maximum(rows - half, 0), np.minimum(rows + half + 1, depth.shape[0])
    left, right = np.maximum(columns - half, 0), np.minimum(columns + half + 1, depth.shape[1])

    def mean(values: np.ndarray) -> np.ndarray:
        total = cv2.integral(values)
        return (total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]) / window**2

    n = mean(one)
    # The window's outside counts as unknown, so that n is the known share of the full window.
    enough = n > 0.5
    n = np.where(enough, n, 1)
    u, v = one * x, one * y[:, None]
    mx, my, mw = mean(u) / n, mean(v) / n, mean(w) / n
    xx, yy, xy = mean(u * x) / n - mx * mx, mean(v * y[:, None]) / n - my * my, mean(v * x) / n - mx * my
    xw, yw, ww = mean(u * w) / n - mx * mw, mean(v * w) / n - my * mw, mean(w * w) / n - mw * mw
    determinant = xx * yy - xy * xy
    enough &= known[rows, columns] & (determinant > 1e-3 * xx * yy)
    determinant = np.where(enough, determinant, 1)
    a, b = (xw * yy - yw * xy) / determinant, (yw * xx - xw * xy) / determinant
    at = np.where(enough, mw + a * (x[columns] - mx) + b * (y[rows] - my), np.nan)
    spread = np.sqrt(np.maximum(ww - a * xw - b * yw, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return at, np.stack([a, b]), np.where(enough, spread / np.abs(at), np.inf)


def mutual_scales(views: Sequence[DepthView]) -> Float[np.ndarray, " V"]:
    """Factors on the views' depths that make them agree with each other where they see the same surface.

    Depth maps of one scene err together within a view (a wrong scale), which splits one wall into several parallel
    ones. Minimised is, over log factors, the disagreement of every pair of views (median log ratio of depths) plus
    the belief that factors are near 1.
    """
    pairs = [(i, j, shift) for i in range(len(views)) for j in range(len(views)) if i != j
             and (shift := _shift(views[i], views[j])) is not None]  # fmt: skip
    A, b = np.eye(len(views)) / tol.SCALE_PRIOR, np.zeros(len(views))
    rows = np.zeros((len(pairs), len(views)))
    for row, (i, j, _) in enumerate(pairs):
        rows[row, [i, j]] = 1 / tol.SCALE_NOISE, -1 / tol.SCALE_NOISE
    b = np.concatenate([b, [-shift / tol.SCALE_NOISE for *_, shift in pairs]])
    return np.exp(np.linalg.lstsq(np.concatenate([A, rows]), b, rcond=None)[0])


def _shift(one: DepthView, other: DepthView) -> float | None:
    """Median of log (depth of the first view's points in the second / depth seen there); None where few agree."""
    step = max(1, max(one.depth.shape) // 80)
    rows, columns = (grid.ravel() for grid in np.mgrid[: one.depth.shape[0] : step, : one.depth.shape[1] : step])
    z = one.depth[rows, columns]
    T = invert_rigid(other.T_world_camera) @ one.T_world_camera
    X = transform(T, one.camera.rays_at(np.stack([columns, rows], -1) + 0.5) * z[:, None])
    camera = other.camera
    u, v = camera.project(X).T
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        there = other.depth[v[inside].astype(int), u[inside].astype(int)]
        ratio = np.log(X[inside, 2] / there)
    ratio = ratio[np.abs(ratio) < tol.SCALE_GATE]
    return float(np.median(ratio)) if len(ratio) > tol.SCALE_POINTS else None
