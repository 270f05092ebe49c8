"""Scores an estimated room layout against Structured3D's truth, figure by figure (`fewview.layout.metrics`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fewview.apps.benchmarks.true_poses import align
from fewview.data.structured3d import RoomFolder, ViewLayout
from fewview.data.structured3d.images import read_depth
from fewview.layout import metrics
from fewview.layout.model import RoomLayout
from fewview.layout.raycast import cast
from fewview.recon.geometry.pose import Sim3, transform
from fewview.recon.scene import Camera, View

LONG_SIDE = 640
"""Of the label maps that are compared; 640x360 for Structured3D's own photos."""
SEEN_GRID = 10
"""Points along each side of an opening that are asked whether a photo shows them."""


@dataclass(frozen=True)
class Estimate:
    """A layout and cameras in one world, which need not be the truth's."""

    layout: RoomLayout | None
    views: Sequence[View | None]
    """In the order of the room's views; None for a photo that could not be placed."""

    @property
    def registered(self) -> list[int]:
        return [index for index, view in enumerate(self.views) if view is not None]


def score(room: RoomFolder, estimate: Estimate) -> dict[str, Any]:
    """All figures of one room, JSON-serialisable. What is missing scores as an empty picture: nothing is left out.

    Lengths are the truth's metres: a world of other scale is aligned on the cameras.
    """
    truth = room.views()
    poses = np.stack([view.T_world_camera for view in truth])
    found = np.stack([np.eye(4) if view is None else view.T_world_camera for view in estimate.views])
    placed = np.array([view is not None for view in estimate.views])
    maps = [_maps(estimate.layout, view, true.camera) for view, true in zip(estimate.views, truth, strict=True)]
    world = align(poses[placed], found[placed]).world if placed.sum() >= 2 else Sim3.identity()
    return {
        "room": room.name,
        "failed": estimate.layout is None,
        **_planes(room, estimate.layout, maps, poses[0], world),
        **_plan(room, estimate.layout, world),
        **_pictures(room.layouts(), truth, maps, world.scale),
        **metrics.camera_accuracy(poses, found, placed),
        "openings": _openings(room, truth, estimate.layout, world),
    }


def mean(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over rooms; `failed` counts them, and so does `openings`: found, true (those that a photo shows at least
    half of), and right."""
    lengths = ("height_error_m", "depth_rmse_m", "seconds")
    names = ("floor_iou", "iou", "pixel_error", "edge_error", "rra15", "rta15", "maa30", *lengths)
    out: dict[str, Any] = {name: float(np.mean([score[name] for score in scores])) for name in names}
    for name in ("precision", "recall"):
        out[name] = {key: float(np.mean([score[name][key] for score in scores])) for key in scores[0][name]}
    out["openings"] = {key: sum(score["openings"][key] for score in scores) for key in ("found", "true", "right")}
    return out | {"rooms": len(scores), "failed": sum(score["failed"] for score in scores)}


Maps = tuple[Int[np.ndarray, "H W"], Float[np.ndarray, "H W"]]


def _maps(layout: RoomLayout | None, view: View | None, camera: Camera) -> Maps:
    """Labels and depth at comparison size; -1 and 0 where there is nothing."""
    small = camera.fitted(LONG_SIDE)
    if layout is None or view is None:
        return np.full((small.height, small.width), -1), np.zeros((small.height, small.width))
    labels, depth = cast(layout, view.camera.resized(small.width, small.height), view.T_world_camera)
    return labels, np.nan_to_num(depth, nan=0.0)


def _planes(
    room: RoomFolder, layout: RoomLayout | None, maps: Sequence[Maps], T_world_camera: np.ndarray, world: Sim3
) -> dict[str, Any]:
    """Precision and recall of the planes that any view sees, in the frame of the first camera."""
    true = np.array([[*plane.normal, plane.offset / 1000] for plane in room.seen_planes()])
    estimate = np.zeros((0, 4))
    if layout is not None:
        seen = sorted({int(label) for labels, _ in maps for label in np.unique(labels) if label >= 0})
        # X = world(X_true).
        planes = layout.planes()[seen]
        estimate = np.concatenate(
            [planes[:, :3] @ world.R, (planes[:, 3:] + planes[:, :3] @ world.t[:, None]) / world.scale], 1
        )
    in_camera = [
        np.concatenate(
            [planes[:, :3] @ T_world_camera[:3, :3], planes[:, 3:] + planes[:, :3] @ T_world_camera[:3, 3:]], 1
        )
        for planes in (true, estimate)
    ]
    precision, recall = {}, {}
    for distance, angle in metrics.THRESHOLDS:
        matched = metrics.match_planes(in_camera[0], in_camera[1], distance, angle)
        key = f"{distance:g}m_{angle:g}deg"
        precision[key], recall[key] = matched.precision, matched.recall
    return {"precision": precision, "recall": recall}


def _openings(room: RoomFolder, views: Sequence[View], layout: RoomLayout | None, world: Sim3) -> dict[str, int]:
    """Doors and windows: how many are found, true and seen, and right."""
    true = room.openings()
    seen = np.zeros((len(true), SEEN_GRID**2), bool)
    u, v = (np.ravel(g)[:, None] for g in np.meshgrid(*[(np.arange(SEEN_GRID) + 0.5) / SEEN_GRID] * 2))
    for view, folder in zip(views, room.view_folders, strict=True):
        depth, camera = read_depth(folder / "depth.png", view.camera), view.camera
        for index, corners in enumerate(true):
            points = corners[0] + u * (corners[1] - corners[0]) + v * (corners[3] - corners[0])
            local = transform(view.T_camera_world, points)
            ahead = local[:, 2]
            x, y = camera.project(local).T
            inside = np.flatnonzero((ahead > 0.1) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height))
            there = depth[y[inside].astype(int), x[inside].astype(int)]
            # Painted doors stand 3 cm before their walls.
            seen[index, inside] |= there > ahead[inside] - 0.1
    found = np.zeros((0, 4, 3))
    if layout is not None:
        found = world.inverse()(layout.opening_corners())
    score = metrics.match_openings(true[seen.mean(1) >= 0.5], found)
    return {"found": score.predicted, "true": score.true, "right": score.right}


def _plan(room: RoomFolder, layout: RoomLayout | None, world: Sim3) -> dict[str, float]:
    if layout is None:
        return {"floor_iou": 0.0, "height_error_m": room.height()}
    corners = np.concatenate([layout.polygon, np.full((len(layout.walls), 1), layout.floor.height)], 1)
    corners = world.inverse()(corners @ layout.R_room_world)
    return {
        "floor_iou": metrics.floor_iou(room.floor(), corners[:, :2]),
        "height_error_m": abs(layout.height / world.scale - room.height()),
    }


def _pictures(
    layouts: Sequence[ViewLayout], views: Sequence[View], maps: Sequence[Maps], scale: float
) -> dict[str, float]:
    """Means over the views."""
    rows = []
    for layout, view, (labels, depth) in zip(layouts, views, maps, strict=True):
        camera = view.camera.resized(labels.shape[1], labels.shape[0])
        true = layout.labels((view.camera.width, view.camera.height), (camera.width, camera.height))
        compared = metrics.compare_labels(true, labels)
        rmse = metrics.depth_rmse(true_depth(layout, true, camera), depth / scale)
        rows.append([compared.iou, compared.pixel_error, compared.edge_error, rmse])
    names = ("iou", "pixel_error", "edge_error", "depth_rmse_m")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def true_depth(layout: ViewLayout, labels: Int[np.ndarray, "H W"], camera: Camera) -> Float[np.ndarray, "H W"]:
    """z-depth of the labelled planes, metres; NaN where there is no label."""
    rays = camera.rays()
    depth = np.full(labels.shape, np.nan)
    for index in range(len(layout.planes)):
        normal, offset = layout.plane(index)
        at = labels == index
        depth[at] = -offset / (rays[at] @ normal)
    return depth
