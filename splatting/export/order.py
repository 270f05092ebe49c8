"""An order of Gaussians in which neighbours in space stand near each other: files that pack or compress them in groups
become smaller and more precise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_BITS = 20
"""Of a coordinate: three of them fill 60 of 64."""


def spatial_order(means: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, " N"]:
    """Indices along Morton's curve (1966) through the bounding cube."""
    low = means.min(0, initial=np.inf)
    span = max(float((means - low).max(initial=0)), 1e-30)
    cells = ((means - low) / span * (2**_BITS - 1)).astype(np.int64)
    code = np.zeros(len(means), np.int64)
    for bit in range(_BITS):
        for axis in range(3):
            code |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
