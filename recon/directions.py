"""The three directions of a room, from its planes and from the straight edges that photos show."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.spatial.transform import Rotation

from fewview.recon.scene import PosedImage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601."""
GRADIENT_NOISE = 0.5
"""Grey levels; LSD assumes 2, which overlooks where a white ceiling meets a white wall."""
LEAST_SEGMENT = 0.05
"""Length of a line segment, as a share of the long side of the photo."""
CAPTURE_DEG = (4.0, 2.0, 1.0, 0.5)
"""Per round: an edge this close to a direction is one along it."""
LEAST_GAIN = 1.2
"""Times the length of the edges along the directions must grow for these to turn."""
NORMAL_WEIGHTS = (0.3, 0.0)
"""Of the normals of all planes together, against all edges; the better outcome is kept."""
DRAWN_WIDTH_PX = 5


def line_segments(view: PosedImage) -> Float32[np.ndarray, "N 4"]:
    """Straight edges (x1, y1, x2, y2), half-integer pixel centres (LSD, Grompone von Gioi et al. 2010)."""
    image = np.round(view.image @ LUMA * 255).astype(np.uint8)
    lines = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD, quant=GRADIENT_NOISE).detect(image)[0]
    if lines is None:
        return np.zeros((0, 4), np.float32)
    segments = lines.reshape(-1, 4) + np.float32(0.5)
    long_enough = np.linalg.norm(segments[:, 2:] - segments[:, :2], axis=1) > LEAST_SEGMENT * max(image.shape)
    return segments[long_enough]


def drawn(
    segments: Float32[np.ndarray, "N 4"], longer: Float32[np.ndarray, "N 2"], shape: tuple[int, int]
) -> Bool[np.ndarray, "H W"]:
    """Pixels on segments that are made longer at both ends: faint edges come in pieces."""
    image = np.zeros(shape, np.uint8)
    for x1, y1, x2, y2 in np.floor(segments + np.concatenate([-longer, longer], 1)).astype(int).tolist():
        cv2.line(image, (x1, y1), (x2, y2), 1, DRAWN_WIDTH_PX)
    return image > 0


def refine_axes(
    axes: Float[np.ndarray, "3 3"],
    views: Sequence[PosedImage],
    segments: Sequence[Float32[np.ndarray, "_ 4"]],
    normals: Float[np.ndarray, "P 3"],
    shares: Float[np.ndarray, " P"],
) -> Float[np.ndarray, "3 3"]:
    """Turn the directions (rows) onto the vanishing directions of the edges.

    An edge and its camera's centre span a plane, whose normal is at right angles to the direction of the edge;
    so is each plane's normal to the two directions that it contains. Small rotations by least squares, the
    edges chosen anew each round.

    Args:
        segments: `line_segments` of each view.
        normals, shares: of planes (world), and the share of all points on each.
    """
    across = np.concatenate([interpretation_normals(v, s) for v, s in zip(views, segments, strict=True)])
    length = np.concatenate([np.linalg.norm(s[:, 2:] - s[:, :2], axis=1) for s in segments])
    along = np.abs(normals @ axes.T)
    aligned = along.max(1) > np.cos(np.radians(max(CAPTURE_DEG)))
    nearest = along.argmax(1)[aligned]
    # A plane's normal is at right angles to the other two directions, just as an edge's plane is to its own.
    of_planes = (
        np.concatenate([normals[aligned]] * 2),
        np.concatenate([(nearest + 1) % 3, (nearest + 2) % 3]),
        np.concatenate([shares[aligned]] * 2) / max(2 * shares[aligned].sum(), 1e-9),
    )

    def captured(candidate: np.ndarray) -> float:
        return float(length[np.abs(across @ candidate.T).min(1) < np.sin(np.radians(CAPTURE_DEG[-1]))].sum())

    best = max((_turned(axes, across, length, of_planes, weight) for weight in NORMAL_WEIGHTS), key=captured)
    # A few edges of foliage lie along any directions: only a clear gain outweighs what the planes say.
    return best if captured(best) > LEAST_GAIN * captured(axes) else axes


def _turned(
    axes: Float[np.ndarray, "3 3"],
    across: Float[np.ndarray, "N 3"],
    length: Float[np.ndarray, " N"],
    of_planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    normal_weight: float,
) -> Float[np.ndarray, "3 3"]:
    for capture in CAPTURE_DEG:
        sine = np.abs(across @ axes.T)
        mine = sine.min(1) < np.sin(np.radians(capture))
        vector = np.concatenate([across[mine], of_planes[0]])
        axis = axes[np.concatenate([sine.argmin(1)[mine], of_planes[1]])]
        share = length[mine] / max(length[mine].sum(), 1e-9)
        root = np.sqrt(np.concatenate([share, normal_weight * of_planes[2]]))
        # vector . (axis + turn x axis) = 0 for a small rotation `turn`.
        rows, values = np.cross(axis, vector), -(vector * axis).sum(1)
        turn = np.linalg.lstsq(rows * root[:, None], values * root, rcond=None)[0]
        axes = axes @ Rotation.from_rotvec(turn).as_matrix().T
    return axes


def interpretation_normals(view: PosedImage, segments: Float32[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 3"]:
    """World-frame unit normals of the planes that edges span with the camera's centre."""
    a, b = (view.camera.rays_at(segments[:, k : k + 2]).astype(np.float64) for k in (0, 2))
    normal = np.cross(a, b)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return normal @ view.T_world_camera[:3, :3].T
