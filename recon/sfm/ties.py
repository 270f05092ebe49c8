"""Photos at one scale: of matches of two photos alone, nothing tells how far apart the two are.

Pairs that match and a third photo that matches one of them make a consistent model at any distance of the third.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from recon.sfm.bundle import Bundle

_LEAST = 2
"""Points: one tells the distance, another confirms it. One of 6 photos of a courtyard has no more, and is placed right."""


def at_one_scale(bundle: Bundle) -> Bool[np.ndarray, " I"]:
    """The largest group of images that points seen by three of them tie together; other images have no known scale.

    A group starts from two images; others join it by points that two of it see.
    """
    count = len(bundle.R)
    seen = np.zeros((count, len(bundle.points)), bool)
    seen[bundle.image, bundle.point] = True
    shared = np.triu(seen.astype(np.float32) @ seen.T.astype(np.float32), 1).astype(int)
    best = np.zeros(count, bool)
    tried = np.zeros((count, count), bool)
    for start in np.argsort(-shared, axis=None, kind="stable"):
        k, m = np.unravel_index(start, shared.shape)
        if not shared[k, m] or best.sum() > count / 2:
            break
        if tried[k, m]:
            continue
        group = np.zeros(count, bool)
        group[[k, m]] = True
        while True:
            joint = (seen[:, seen[group].sum(axis=0) >= 2]).sum(axis=1) * ~group
            if joint.max() < _LEAST:
                break
            group[joint.argmax()] = True
        tried |= group[:, None] & group
        best = group if group.sum() > best.sum() else best
    return best
