"""What hangs together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def components(count: int, edges: Int[np.ndarray, "E 2"]) -> Int[np.ndarray, " N"]:
    """For each of `count` nodes the number of the connected component that it belongs to."""
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    return connected_components(graph, directed=False)[1]
