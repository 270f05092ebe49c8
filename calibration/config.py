"""Options of calibration, apart from what computes: commands read them without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class CalibrationConfig:
    """What is known beforehand, and the budgets that keep the cost flat in the length of the videos."""

    height_m: float | None = None
    """Height of the person seen most; sets the scale. None: adults of 1.70 m are assumed."""
    same_cameras: bool = False
    """All cameras are one model at one setting: their focal lengths are nearly equal."""
    offsets_s: tyro.conf.Suppress[tuple[Mapping[str, float], ...]] = ()
    """One mapping per take: offsets to keep as they are (see `Rig.offsets_s`). Cameras it does not name, and all where
    it is empty, are synchronised by their motion."""
    max_offset_s: float = 60.0
    """Cameras started within this time of each other."""
    max_people: int = 6
    """People to follow; those seen least are ignored."""
    poses: int = 120
    """Poses of bundle adjustment per take; one pose is one person at one instant."""
    seed: int = 0
