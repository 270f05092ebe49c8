"""Finds cameras whose names were swapped, by where the people they saw put them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from fewview.calibration.metrics import rotation_errors_deg
from fewview.recon.scene import View

_FITS_DEG = 10.0
"""Calibrations of one rig agree to a degree or two; cameras of different places do not."""


def swapped_cameras(reference: Mapping[str, View], found: Mapping[str, View]) -> tuple[str, str] | None:
    """The two cameras that, swapped, make the rotations of `found` those of `reference`.

    None where the rotations agree as they are, no swap makes them agree, or fewer than three cameras are in both.

    Args:
        reference: where cameras of these names are.
        found: where those that recorded under these names are, in any frame.
    """
    names = [name for name in reference if name in found]
    if len(names) < 3:
        return None
    truth, own = (np.array([views[name].T_world_camera for name in names]) for views in (reference, found))
    if rotation_errors_deg(truth, own).max() < _FITS_DEG:
        return None
    for a, b in combinations(range(len(names)), 2):
        order = np.arange(len(names))
        order[[a, b]] = b, a
        if rotation_errors_deg(truth, own[order]).max() < _FITS_DEG:
            return names[a], names[b]
    return None
