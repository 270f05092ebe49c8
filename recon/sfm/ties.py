"""Photos at one scale: of what two photos alone share, nothing tells how far apart they are.

A photo that matches one other makes a consistent model at any distance. Points that two others see too tell the
distance, and so do the directions to two others.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from fewview.recon.sfm.bundle import Bundle

_JOINT = 6
"""An image joins a group where it sees so many of the points that two of the group see,"""
_TIE = 12
"""or shares so many with each of two of the group."""


def at_one_scale(bundle: Bundle) -> Bool[np.ndarray, " I"]:
    """The largest group of images that are at one scale; it grows from two of them, image by image."""
    count = len(bundle.R)
    seen = np.zeros((count, len(bundle.points)), bool)
    seen[bundle.image, bundle.point] = True
    shared = seen.astype(np.float32) @ seen.T.astype(np.float32)
    np.fill_diagonal(shared, 0)
    best = np.zeros(count, bool)
    tried = shared < _TIE
    while not tried.all() and 2 * best.sum() <= count:
        group = np.zeros(count, bool)
        group[list(np.unravel_index(np.where(tried, 0, shared).argmax(), shared.shape))] = True
        joins = group
        while joins.any():
            joint = seen[:, seen[group].sum(axis=0) >= 2].sum(axis=1)
            ties = (shared[:, group] >= _TIE).sum(axis=1)
            joins = ~group & ((joint >= _JOINT) | (ties >= 2))
            group = group | joins
        tried |= group[:, None] & group
        best = group if group.sum() > best.sum() else best
    return best
