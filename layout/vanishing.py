"""Up from the upright edges of the photos: door frames, corners, shelves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float

from fewview.layout import tolerances as tol
from fewview.recon.directions import interpretation_normals, line_segments
from fewview.recon.scene import PosedImage


def up_by_edges(photos: Sequence[PosedImage], start: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"] | None:
    """The direction near `start` that most length of edges runs along (a vanishing direction); None where too little.

    An edge and its camera's centre span a plane, whose normal is at right angles to the edge. Two such planes meet in
    one direction; all edges vote for those that pairs of the longest propose, and least squares over the voters is
    the answer.

    Args:
        start: unit, world.
    """
    photos = [_small(photo) for photo in photos]
    segments = [line_segments(photo) for photo in photos]
    if not any(map(len, segments)):
        return None
    across = np.concatenate([interpretation_normals(p, s) for p, s in zip(photos, segments, strict=True)])
    length = np.concatenate([np.linalg.norm(s[:, 2:] - s[:, :2], axis=1) / max(p.image.shape)
                             for p, s in zip(photos, segments, strict=True)])  # fmt: skip
    near = np.abs(across @ start) < np.sin(np.radians(tol.UP_NEAR_DEG))
    across, length = across[near], length[near]
    longest = np.argsort(-length, kind="stable")[: tol.UP_VOTERS]
    first, second = np.triu_indices(len(longest), 1)
    proposed = np.cross(across[longest[first]], across[longest[second]])
    size = np.linalg.norm(proposed, axis=1)
    # Edges in nearly one plane with their cameras do not tell where in it they point.
    proposed = proposed[size > tol.UP_LEAST_SINE] / size[size > tol.UP_LEAST_SINE, None]
    proposed *= np.sign(proposed @ start)[:, None]
    proposed = proposed[proposed @ start > np.cos(np.radians(tol.UP_NEAR_DEG))]
    if not len(proposed):
        return None
    votes = length @ (np.abs(across @ proposed.T) < np.sin(np.radians(tol.UP_ALONG_DEG[0])))
    up = proposed[int(np.argmax(votes))]
    for limit in tol.UP_ALONG_DEG:
        along = np.abs(across @ up) < np.sin(np.radians(limit))
        if length[along].sum() < tol.UP_LEAST_LENGTH:
            return None
        axis = np.linalg.eigh((across[along] * length[along, None]).T @ across[along])[1][:, 0]
        up = axis if axis @ start > 0 else -axis
    return up


def _small(photo: PosedImage) -> PosedImage:
    camera = photo.camera.fitted(tol.EDGE_LONG_SIDE_PX)
    image = cv2.resize(photo.image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return replace(photo, camera=camera, image=image)
