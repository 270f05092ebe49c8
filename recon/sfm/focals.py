"""Focal lengths before anything is mapped: given, recorded or by the field of view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from recon.sfm.graph import MatchGraph
from recon.sfm.hypotheses import Start
from recon.sfm.known import Known
from recon.sfm.lens import ideal
from recon.sfm.mapping import Sensors

GUESS_DEG = 60.0
"""Field of view that the focal prior is centred on where photos record none."""
_CONTRADICTED = 0.15
"""Difference of the logarithms from which a recorded focal length is not what was found: three deviations."""


def known_focals(graph: MatchGraph, sensors: Sensors, known: Known) -> dict[int, float]:
    """Focal length of each lens in working pixels where there is any: as given, or the median of the recorded.

    What cameras record for a fisheye is no focal length of its projection.
    """
    focals = {}
    for lens in range(len(sensors.groups)):
        members = [i for i in range(len(graph.photos)) if sensors.lens[i] == lens]
        recorded = [ideal(known.cameras[i]).fx if i in known.cameras else graph.photos[i].focal_px for i in members]
        scaled = [focal * sensors.scale[i] for focal, i in zip(recorded, members, strict=True) if focal is not None]
        if scaled and not sensors.is_fisheye[lens]:
            focals[lens] = float(np.median(scaled))
    return focals


def focals_at(sensors: Sensors, angle_deg: float, known: Mapping[int, float] | None = None) -> Float[np.ndarray, " L"]:
    """Focal length of each lens in working pixels: that of a fisheye as matching found it, recorded, or by the field of
    view of the long side."""
    focals = np.zeros(len(sensors.groups))
    long_side = sensors.size.max(axis=1)
    focals[sensors.lens_of_sensor] = long_side / 2 / np.tan(np.radians(angle_deg / 2))
    for lens, focal in (known or {}).items():
        focals[lens] = focal
    return np.where(sensors.is_fisheye, sensors.fisheye_px, focals)


def starts(sensors: Sensors, known: Mapping[int, float], angles_deg: Sequence[float]) -> list[Start]:
    """What to start mapping from: the recorded focal lengths, then fields of view for those that record none."""
    found = []
    if known:
        found.append(Start(focals_at(sensors, GUESS_DEG, known), "recorded focal length"))
    if not found and sensors.is_fisheye.all():
        found.append(Start(focals_at(sensors, GUESS_DEG), "fisheye"))
    if len(known) < (~sensors.is_fisheye).sum():
        found += [Start(focals_at(sensors, angle, known), f"{angle:g} degrees") for angle in angles_deg]
    return found


def focal_sources(
    graph: MatchGraph, sensors: Sensors, known: Mapping[int, float], found: Mapping[int, float]
) -> dict[str, str]:
    """By the name of the lens's group, in words.

    Args:
        known: given and recorded focal lengths in working pixels, by lens.
        found: those of the model.
    """
    sources = {}
    for lens, group in enumerate(sensors.groups):
        members = [photo for i, photo in enumerate(graph.photos) if sensors.lens[i] == lens]
        recorded = ", ".join(sorted({photo.focal_source for photo in members if photo.focal_source}))
        sources[group] = recorded if lens in known else "estimated from the photos"
        if sensors.is_fisheye[lens]:
            sources[group] = "estimated from the photos, as a fisheye"
        if sensors.exact[lens]:
            sources[group] = "given"
        elif lens in known and lens in found and abs(np.log(found[lens] / known[lens])) > _CONTRADICTED:
            sources[group] = f"estimated from the photos, which contradict {recorded}"
    return sources
