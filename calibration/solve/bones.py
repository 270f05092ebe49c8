"""Which joints keep their distance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fewview.calibration.skeleton import ACROSS, INDEX, LIMBS, SIDED
from fewview.calibration.solve.bundle import Bones

PAIRS = SIDED + ACROSS
KINDS = (*(kind for kind in range(len(LIMBS)) for _ in range(2)), len(LIMBS), len(LIMBS) + 1)

WEIGHT = 0.3
DEVIATION = 0.06
"""Of the logarithm of a length."""


def bones(joints: np.ndarray) -> Bones:
    """The bones between `joints`, which are numbers in `fewview.calibration.skeleton.JOINTS`; the bones number them
    anew."""
    place = {int(joint): i for i, joint in enumerate(joints)}
    kept = [
        (place[INDEX[a]], place[INDEX[b]], kind)
        for (a, b), kind in zip(PAIRS, KINDS, strict=True)
        if INDEX[a] in place and INDEX[b] in place
    ]
    table = np.array(kept, int).reshape(-1, 3)
    return Bones(table[:, :2], table[:, 2], WEIGHT, DEVIATION)


def log_lengths(points: Float[np.ndarray, "K J 3"], these: Bones) -> Float[np.ndarray, " B"]:
    """Median logarithm of each bone's length; NaN where it was never seen."""
    i, j = these.joints.T
    length = np.linalg.norm(points[:, j] - points[:, i], axis=2)
    out = np.full(len(these.joints), np.nan)
    for b in range(len(out)):
        seen = length[:, b][np.isfinite(length[:, b]) & (length[:, b] > 0)]
        if len(seen) >= 5:
            out[b] = np.median(np.log(seen))
    return out
