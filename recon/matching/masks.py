"""Whether photos match better by what their masks hide.

A mask says what may be reconstructed. Where it marks a plain thing before a background full of detail, the background
alone tells how the camera moved; where it hides people, what it hides moved by itself. So what is hidden is looked at
only when the rest ties too few photos, and believed only when it ties more of them and moved: verification keeps
what agrees with one motion of the camera, so people who moved drop out, and a turntable's background lies still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewview.recon.matching.artifact import still_share
from fewview.recon.matching.turns import Pair


def tied(count: int, pairs: Mapping[tuple[int, int], Pair]) -> int:
    """Photos in the largest group that likely pairs hold together; 1 where there is none."""
    firm = [ends for ends, pair in pairs.items() if _is_sure(pair)]
    edges = np.array(firm, int).reshape(-1, 2)
    links = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return int(np.bincount(connected_components(links, directed=False)[1]).max())


def moves(
    keypoints: Sequence[Float[np.ndarray, "_ 2"]],
    long_sides: Sequence[int],
    pairs: Mapping[tuple[int, int], Pair],
) -> bool:
    """Whether what the photos share moved between them: behind a turntable it lies still, whatever turned.

    Args:
        keypoints: by photo, pixels of the original.
        long_sides: of the originals, pixels.
    """
    still = []
    for (a, b), pair in pairs.items():
        if _is_sure(pair):
            ends = pair.verified.matches.pairs
            size = max(long_sides[a], long_sides[b])
            still.append(still_share(keypoints[a][ends[:, 0]], keypoints[b][ends[:, 1]], size))
    return bool(still) and float(np.median(still)) < 0.5


def _is_sure(pair: Pair) -> bool:
    """Whether two photos rather show one scene than things that look alike."""
    return pair.log_odds is not None and pair.log_odds > 0
