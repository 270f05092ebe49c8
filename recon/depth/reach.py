"""How far planes have been carried from where they were verified: along themselves, and not across edges of a photo.

Between verified parts of a wall lies wall. Beyond them it goes on to the next corner only, which a photo shows as a
straight edge, however faint, or hides behind something nearer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.planes import ScenePlane
from fewview.recon.directions import drawn, line_segments
from fewview.recon.scene import PosedImage


def path_to_support(
    view: PosedImage,
    planes: Sequence[ScenePlane],
    picked: Int[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W"]:
    """Length of the shortest way from every pixel to the outline of its plane, through pixels of that plane.

    Args:
        picked: 1 + index of the plane that each pixel was given; 0 where none.

    Returns:
        Shares of the long side of the photo, at most `WAY_FARTHEST`; 0 where no plane was picked.
    """
    height, width = picked.shape
    grid = np.s_[tol.WAY_STRIDE // 2 :: tol.WAY_STRIDE, tol.WAY_STRIDE // 2 :: tol.WAY_STRIDE]
    label, edge = picked[grid], edge_mask(view)[grid]
    support = np.zeros(label.shape, bool)
    rays = view.camera.rays(np.float32)[grid].astype(np.float64) @ view.T_world_camera[:3, :3].T
    for index, plane in enumerate(planes, 1):
        mine = label == index
        if mine.any():
            support[mine] = plane.is_within(view.T_world_camera[:3, 3], rays[mine])
    way = np.where(label > 0, _ways(label, edge, support, tol.WAY_STRIDE / max(height, width)), 0)
    rows = np.minimum(np.arange(height) // tol.WAY_STRIDE, way.shape[0] - 1)
    columns = np.minimum(np.arange(width) // tol.WAY_STRIDE, way.shape[1] - 1)
    return way[np.ix_(rows, columns)].astype(np.float32)


def _ways(
    label: Int[np.ndarray, "h w"], edge: Bool[np.ndarray, "h w"], support: Bool[np.ndarray, "h w"], step: float
) -> Float[np.ndarray, "h w"]:
    if not support.any():
        return np.full(label.shape, tol.WAY_FARTHEST)
    index = np.arange(label.size).reshape(label.shape)
    tails, heads, costs = [], [], []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        same = label[a] == label[b]
        tails.append(index[a][same])
        heads.append(index[b][same])
        costs.append(step + 0.5 * tol.WAY_BARRIER * (edge[a] != edge[b])[same])
    where = (np.concatenate(tails), np.concatenate(heads))
    graph = coo_matrix((np.concatenate(costs), where), (label.size, label.size)).tocsr()
    way = dijkstra(graph, directed=False, indices=index[support], min_only=True, limit=tol.WAY_FARTHEST)
    return np.minimum(way, tol.WAY_FARTHEST).reshape(label.shape)


def edge_mask(view: PosedImage) -> Bool[np.ndarray, "H W"]:
    """Pixels on straight edges."""
    segments = line_segments(view)
    return drawn(segments, tol.WAY_BRIDGE * (segments[:, 2:] - segments[:, :2]), view.mask.shape)
