"""The scale of the world from a printed page of tags (`fewview.recon.marker`) that photos show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.fit import fit_sim3
from fewview.recon.geometry.pose import transform
from fewview.recon.marker import PAGE_M, TAGS, corners_m
from fewview.recon.scene import View
from fewview.recon.sfm.scale import MODEL_NOISE

CORNER_PX = 0.3
"""Standard deviation of a tag's corner, in pixels of a photo of 1000 px. (a quarter of a pixel in rendered photos)"""
PRINT_NOISE = 0.003
"""Standard deviation of the logarithm of a printed length: printers and paper. (assumed: .5 mm on 15 cm)"""
_MISFIT = 6.0
"""Deviations of the corners, on average, above which they are not those of one flat page that stayed where it was."""
_NEAR_M = 0.5
"""Points so far from the middle of the page, on its plane, are taken to lie on what it lies on."""
_ALIKE = 0.03
"""Within this share of each other, points agree on the scale."""
_FEW = 6
"""Points on what the page lies on that it takes where only one photo shows the page."""

Seen = Mapping[str, Mapping[int, Float[np.ndarray, "4 2"]]]
"""By photo and tag: corners in pixels of the original, with its distortion."""


@dataclass(frozen=True)
class Printed:
    """What the page tells."""

    metres: float
    """A unit of the world."""
    deviation: float
    """Standard deviation of its logarithm."""
    photos: tuple[str, ...]


def from_page(seen: Seen, views: Sequence[View]) -> Printed | None:
    """The scale by the corners that at least two photos show: page, pose and scale are fitted to all of them at once.

    None where there are no two such photos, or where the corners do not fit one page.
    """
    showing = [view for view in views if seen.get(view.name)]
    rays = {view.name: {tag: view.camera.rays_at(xy) for tag, xy in seen[view.name].items()} for view in showing}
    shared = [(tag, k) for tag in TAGS for k in range(4) if sum(tag in rays[view.name] for view in showing) > 1]
    if not shared:
        return None
    board = np.array([corners_m(tag)[k] for tag, k in shared])
    world = np.array([_meet([(v, rays[v.name][tag][k]) for v in showing if tag in rays[v.name]]) for tag, k in shared])
    start = fit_sim3(board, world)
    sigma = {v.name: CORNER_PX * max(v.camera.width, v.camera.height) / 1000 for v in showing}

    def residuals(state: Float[np.ndarray, " 7"]) -> Float[np.ndarray, " N"]:
        R, scale = Rotation.from_rotvec(state[:3]).as_matrix(), np.exp(state[6])
        out = []
        for view in showing:
            for tag, xy in seen[view.name].items():
                X = transform(view.T_camera_world, scale * corners_m(tag) @ R.T + state[3:6])
                out.append(((view.camera.project(X) - xy) / sigma[view.name]).ravel())
        return np.concatenate(out)

    first = np.array([*Rotation.from_matrix(start.R).as_rotvec(), *start.t, np.log(start.scale)])
    if not np.isfinite(residuals(first)).all():
        return None  # behind a camera: the rays hardly cross
    fit = least_squares(residuals, first, x_scale="jac", loss="soft_l1")
    worst = float(np.sqrt(np.mean(residuals(fit.x) ** 2)))
    if not fit.success or worst > _MISFIT:
        return None
    spread = float(np.linalg.pinv(fit.jac.T @ fit.jac)[6, 6]) * max(1.0, worst) ** 2
    deviation = float(np.sqrt(spread + PRINT_NOISE**2 + MODEL_NOISE**2))
    return Printed(float(np.exp(-fit.x[6])), deviation, tuple(view.name for view in showing))


def from_one(
    corners: Mapping[int, Float[np.ndarray, "4 2"]], view: View, xyz: Float[np.ndarray, "N 3"]
) -> Printed | None:
    """The scale by one photo: how far away the page is in metres, against points of the world on what it lies on.

    Points beside the page that lie on its plane agree on the scale; others do not. None where too few agree.

    Args:
        xyz: points that the photo sees, world.
    """
    board = np.concatenate([corners_m(tag) for tag in corners])
    ray = view.camera.rays_at(np.concatenate(list(corners.values())))
    found, turn, shift = cv2.solvePnP(board, ray[:, :2] / ray[:, 2:], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    if not found:
        return None
    R, t = Rotation.from_rotvec(turn.ravel()).as_matrix(), shift.ravel()
    X = transform(view.T_camera_world, xyz)
    X = X[X[:, 2] > 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        times = (R[:, 2] @ t) / (X @ R[:, 2])  # metres a unit, were the point on the page's plane
    on_page = (X * times[:, None] - t) @ R
    near = np.linalg.norm(on_page[:, :2] - np.array(PAGE_M) / 2, axis=1) < _NEAR_M
    ratios = np.log(times[near & (times > 0)])
    if len(ratios) < _FEW:
        return None
    agreeing = (np.abs(ratios[:, None] - ratios) < _ALIKE).sum(1)
    alike = ratios[np.abs(ratios - ratios[np.argmax(agreeing)]) < _ALIKE]
    if len(alike) < _FEW or 2 * len(alike) < len(ratios):
        return None
    deviation = float(np.sqrt((np.std(alike) + _ALIKE / 2) ** 2 + PRINT_NOISE**2 + MODEL_NOISE**2))
    return Printed(float(np.exp(np.median(alike))), deviation, (view.name,))


def _meet(rays: Sequence[tuple[View, Float[np.ndarray, " 3"]]]) -> Float[np.ndarray, " 3"]:
    """The world point that rays of several views, in their cameras' frames, pass most closely."""
    A, b = np.zeros((3, 3)), np.zeros(3)
    for view, ray in rays:
        along = view.T_world_camera[:3, :3] @ ray
        across = np.eye(3) - np.outer(along, along) / (along @ along)
        A, b = A + across, b + across @ view.center
    return np.linalg.lstsq(A, b, rcond=None)[0]
