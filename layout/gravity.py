"""Which way is up, and which ways the walls face: Manhattan directions, and others (Atlanta world)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fewview.layout import tolerances as tol
from fewview.layout.surfaces import Surfaces
from fewview.layout.vanishing import up_by_edges
from fewview.recon.errors import ReconstructionError
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage


def settle_up(
    surfaces: Surfaces, photos: Sequence[PosedImage], start: Float[np.ndarray, " 3"], progress: Progress
) -> Float[np.ndarray, " 3"]:
    """Unit up, by surfaces and by the photos' upright edges.

    Edges are several times as exact, but may be those of things that lean: surfaces decide where the two differ, if
    enough floor, ceiling or table tops are among them; else edges do, which is told.

    Args:
        start: the cameras' mean up, world.

    Raises:
        ReconstructionError: neither tells.
    """
    start = start / np.linalg.norm(start)
    try:
        up, told = find_up(surfaces, start), True
    except ReconstructionError:
        if (by_edges := up_by_edges(photos, start)) is None:
            raise
        up, told = by_edges, False
    else:
        level = np.abs(surfaces.normal @ up) > np.cos(np.radians(tol.UP_ROUNDS_DEG[-1]))
        told = bool(surfaces.weight[level].sum() > tol.MIN_LEVEL_SHARE * surfaces.weight.sum())
        if told and max((max(photo.image.shape) for photo in photos), default=0) < tol.EDGES_FINE_PX:
            return up
        by_edges = up_by_edges(photos, up if told else start)
    if by_edges is None or (told and by_edges @ up < np.cos(np.radians(tol.EDGES_AGREE_DEG))):
        return up
    if not told:
        progress.fallback("up from floor and ceiling", "up from upright edges", "hardly any level surface is seen")
    return by_edges


def find_up(surfaces: Surfaces, start: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """Unit up: orthogonal to walls, parallel to the normals of floor and ceiling.

    The smallest eigenvector of sum w n n^T over upright minus the same over horizontal surfaces, starting with what
    is such for the up direction `start` (the cameras' mean).

    Raises:
        ReconstructionError: there is no surface that is either.
    """
    up = start / np.linalg.norm(start)
    for limit in tol.UP_ROUNDS_DEG:
        height = surfaces.normal @ up
        level = np.abs(height) > np.cos(np.radians(limit))
        upright = np.abs(height) < np.sin(np.radians(limit))
        if not (level.any() or upright.any()):
            raise ReconstructionError(
                "No surface is level or upright: the photos' up direction cannot be found.",
                "Hold the camera upright, and show floor, walls or ceiling.",
            )
        sign = np.where(upright, 1.0, np.where(level, -1.0, 0.0)) * surfaces.weight
        moment = np.einsum("n,ni,nj->ij", sign, surfaces.normal, surfaces.normal)
        axis = np.linalg.eigh(moment)[1][:, 0]
        up = axis if axis @ up > 0 else -axis
    return up


def upright_frame(up: Float[np.ndarray, " 3"], forward: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """R_room_world with z up and x as near to `forward` as can be."""
    x = forward - (forward @ up) * up
    if np.linalg.norm(x) < 1e-6:
        x = np.eye(3)[np.argmin(np.abs(up))] - up[np.argmin(np.abs(up))] * up
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(up, x), up])


def wall_directions(surfaces: Surfaces) -> tuple[float, list[float]]:
    """Directions of wall normals in the plan of an upright frame, radians.

    Returns:
        The yaw in [-pi/4, pi/4) of the axes that most upright surface follows (four directions, a quarter turn
        apart), and further directions that a relevant share of it follows instead.
    """
    upright = np.abs(surfaces.normal[:, 2]) < tol.UPRIGHT_COSINE
    angle = np.arctan2(surfaces.normal[upright, 1], surfaces.normal[upright, 0])
    weight = surfaces.weight[upright]
    if not len(angle):
        return 0.0, []
    folded, quarter = angle % (np.pi / 2), np.pi / 2
    yaw = _mode(folded, weight, quarter)
    yaw = _refined(folded, weight, yaw, quarter)
    off = np.abs((angle - yaw + quarter / 2) % quarter - quarter / 2) > np.radians(tol.OFF_AXIS_DEG)
    oblique: list[float] = []
    total = weight.sum()
    if weight[off].sum() < tol.MIN_OFF_AXIS_SHARE * total:
        off[:] = False
    while off.any() and weight[off].sum() > tol.MIN_OBLIQUE_SHARE * total:
        found = _mode(angle[off], weight[off], 2 * np.pi)
        found = _refined(angle[off], weight[off], found, 2 * np.pi)
        near = off & (np.abs(_wrapped(angle - found, 2 * np.pi)) < np.radians(tol.OFF_AXIS_DEG))
        if weight[near].sum() < tol.MIN_OBLIQUE_SHARE * total:
            break
        oblique.append(float(found))
        off &= ~near
    return float((yaw + quarter / 2) % quarter - quarter / 2), oblique


def _mode(angle: np.ndarray, weight: np.ndarray, period: float) -> float:
    """Peak of a smoothed circular histogram of one-degree bins."""
    bins = round(np.degrees(period))
    place = np.floor(angle / period * bins).astype(int) % bins
    histogram = np.bincount(place, weight, bins)
    smooth = sum(np.roll(histogram, k) * np.exp(-((k / tol.DIRECTION_BLUR_DEG) ** 2) / 2) for k in range(-7, 8))
    return float((np.argmax(smooth) + 0.5) / bins * period)


def _refined(angle: np.ndarray, weight: np.ndarray, start: float, period: float) -> float:
    """Weighted mean around `start`, ever narrower."""
    for limit in np.radians(tol.DIRECTION_ROUNDS_DEG):
        off = _wrapped(angle - start, period)
        near = np.abs(off) < limit
        if near.any() and weight[near].sum() > 0:
            start += float(np.average(off[near], weights=weight[near]))
    return start


def _wrapped(angle: np.ndarray, period: float) -> np.ndarray:
    return (angle + period / 2) % period - period / 2
