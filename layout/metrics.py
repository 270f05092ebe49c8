"""How far a room layout is from the truth: the figures that Structured3D's users publish, and those of floor plans.

Perfect estimates score 1 (shares, IoU) or 0 (errors). Published definitions: Plane-DUSt3R (2025) for planes in 3D;
Stekovic et al., General 3D Room Layout from a Single View (2020), for the label maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from jaxtyping import Bool, Float, Int
from shapely.geometry import Polygon

from fewview.recon.metrics import pair_errors

Planes = Float[np.ndarray, "_ 4"]
"""Rows (n, d) with n . X + d = 0, n unit."""
Labels = Int[np.ndarray, "H W"]
"""Which plane each pixel shows, -1 for none."""

THRESHOLDS = ((0.15, 10.0), (0.1, 5.0), (0.2, 15.0), (0.4, 30.0))
"""(metres, degrees): a plane is right within both."""

_MATCH_IOU = 0.3
_BORDER_PX = 10


@dataclass(frozen=True)
class PlaneScore:
    right: int
    """Pairs of a predicted and a true plane, each used once."""
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0


def match_planes(truth: Planes, estimate: Planes, distance_m: float, angle_deg: float) -> PlaneScore:
    """Greedy one-to-one matching, best pairs first.

    A pair is right where the angle between the normals (whatever their signs) is below `angle_deg` and the offsets
    differ by less than `distance_m`. Offsets depend on the origin: both lists are to be in the frame of the
    reference camera.
    """
    cosine = estimate[:, :3] @ truth[:, :3].T
    angle = np.degrees(np.arccos(np.clip(np.abs(cosine), 0, 1)))
    apart = np.abs(estimate[:, 3:] - np.where(cosine < 0, -1, 1) * truth[:, 3])
    cost = np.where((angle < angle_deg) & (apart < distance_m), apart / distance_m + angle / angle_deg, np.inf)
    right = 0
    while cost.size and np.isfinite(cost.min()):
        row, column = divmod(int(np.argmin(cost)), cost.shape[1])
        cost[row], cost[:, column] = np.inf, np.inf
        right += 1
    return PlaneScore(right, len(estimate), len(truth))


def match_openings(
    truth: Float[np.ndarray, "T 4 3"], estimate: Float[np.ndarray, "E 4 3"], least_iou: float = 0.5
) -> PlaneScore:
    """Greedy one-to-one matching of upright rectangles, best pairs first.

    A pair is right where the IoU, seen along the true wall's normal, is above `least_iou`, and the estimate's wall is
    within .3 m and 30 degrees of the true one. Corners run along the foot, then back along the top; metres.
    """
    overlap = np.array([[_rectangle_iou(true, found) for found in estimate] for true in truth])
    overlap = overlap.reshape(len(truth), len(estimate))
    right = 0
    while overlap.size and overlap.max() > least_iou:
        row, column = divmod(int(np.argmax(overlap)), overlap.shape[1])
        overlap[row], overlap[:, column] = 0, 0
        right += 1
    return PlaneScore(right, len(estimate), len(truth))


def _rectangle_iou(true: Float[np.ndarray, "4 3"], found: Float[np.ndarray, "4 3"]) -> float:
    along = (true[1] - true[0]) / np.linalg.norm(true[1] - true[0])
    normal = np.cross(along, [0, 0, 1])
    way = (found[1] - found[0]) / np.linalg.norm(found[1] - found[0])
    if abs(way @ along) < np.cos(np.radians(30)) or abs((found.mean(0) - true[0]) @ normal) > 0.3:
        return 0.0
    a, b = (
        shapely.box(*np.min(places, 0), *np.max(places, 0))
        for corners in (true, found)
        for places in [np.stack([corners @ along, corners[:, 2]], 1)]
    )
    return float(shapely.intersection(a, b).area / shapely.union(a, b).area)


@dataclass(frozen=True)
class LabelScore:
    iou: float
    """Sum of the IoU of matched planes over the larger count of planes."""
    pixel_error: float
    """Share of the labelled pixels whose plane is not matched to the true one."""
    edge_error: float
    """Pixels between the edges of the two maps, see `edge_distance`."""


def compare_labels(truth: Labels, estimate: Labels) -> LabelScore:
    """Match the planes of two label maps greedily at IoU > .3, large true planes first, and compare."""
    valid = truth >= 0
    true = [truth == label for label in np.unique(truth[valid])]
    found = [(estimate == label) & valid for label in np.unique(estimate[valid]) if label >= 0]
    true.sort(key=np.count_nonzero, reverse=True)
    count, left = max(len(true), len(found)), list(found)
    total, right = 0.0, 0
    labelled = int(np.count_nonzero(valid))
    for mask in true:
        scores = [_iou(mask, other) for other in left]
        if scores and max(scores) > _MATCH_IOU:
            best = int(np.argmax(scores))
            total += scores[best]
            right += int(np.count_nonzero(mask & left.pop(best)))
    return LabelScore(
        iou=total / count if count else 0.0,
        pixel_error=1 - right / max(labelled, 1),
        edge_error=edge_distance(truth, estimate),
    )


def edge_distance(truth: Labels, estimate: Labels) -> float:
    """Half the sum of distances from each map's edges to the other's, over the count of true edge pixels; pixels.

    Edges within 10 pixels of the border do not count, and no distance is larger than that to the border's frame. 0
    where the truth has no edge.
    """
    inside = np.zeros(truth.shape, bool)
    inside[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = True
    edges = [_edges(labels) & inside for labels in (truth, estimate)]
    if not edges[0].any():
        return 0.0
    away = [cv2.distanceTransform((inside & ~edge).astype(np.uint8), cv2.DIST_L2, 5) for edge in edges]
    total = away[0][edges[1]].sum() + away[1][edges[0]].sum()
    return float(0.5 * total / edges[0].sum())


def depth_rmse(truth: Float[np.ndarray, "H W"], estimate: Float[np.ndarray, "H W"]) -> float:
    """Root mean square difference of layout depths, metres, where the truth is known.

    Raises:
        ValueError: the estimate is unknown where the truth is known.
    """
    known = np.isfinite(truth)
    difference = estimate[known].astype(np.float64) - truth[known]
    if not np.isfinite(difference).all():
        raise ValueError("the estimated layout has holes")
    return float(np.sqrt(np.mean(difference**2)))


def floor_iou(truth: Float[np.ndarray, "N 2"], estimate: Float[np.ndarray, "M 2"]) -> float:
    """Intersection over union of two simple polygons in one frame."""
    a, b = Polygon(truth), Polygon(estimate)
    return float(shapely.intersection(a, b).area / shapely.union(a, b).area)


def camera_accuracy(
    truth: Float[np.ndarray, "N 4 4"], estimate: Float[np.ndarray, "N 4 4"], registered: Bool[np.ndarray, " N"]
) -> dict[str, float]:
    """RRA@15, RTA@15 and mAA@30 over all pairs of photos; a pair with an unregistered photo is wrong.

    mAA@30 is the mean over the thresholds 1 to 30 degrees of the share of pairs whose rotation and direction are both
    below (Jin et al. 2021). Directions are those of `fewview.recon.metrics.pair_errors`.

    Args:
        estimate: camera to world; anything where not `registered`.
    """
    count = len(truth) * (len(truth) - 1)
    used = np.flatnonzero(registered)
    if len(used) < 2:
        return {"rra15": 0.0, "rta15": 0.0, "maa30": 0.0}
    errors = pair_errors(truth[used], estimate[used])
    rotation, direction = errors.rotation_deg, np.nan_to_num(errors.translation_deg, nan=180.0)
    worst = np.maximum(rotation, direction)
    return {
        "rra15": float((rotation < 15).sum() / count),
        "rta15": float((direction < 15).sum() / count),
        "maa30": float(np.mean([(worst < limit).sum() / count for limit in range(1, 31)])),
    }


def _iou(a: Bool[np.ndarray, "H W"], b: Bool[np.ndarray, "H W"]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def _edges(labels: Labels) -> Bool[np.ndarray, "H W"]:
    """Pixels whose right or lower neighbour shows another plane."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    return edge
