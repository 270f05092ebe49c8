"""Focal lengths before anything is mapped: given, recorded or by the field of view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.recon.io.cameras import LensEstimate
from fewview.recon.sfm.bundle import Prior, focal_deviations
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.known import Known
from fewview.recon.sfm.lens import ideal
from fewview.recon.sfm.mapping import Candidate, Sensors

GUESS_DEG = 60.0
"""Field of view that the focal prior is centred on where photos record none."""
CORRELATED = 7.0
"""Times the noise of single observations at which matches, which err together, count as independent. Of 33 focal
lengths from 2 to 8 photos (tests/benchmarks/focal_intervals.py), the intervals then hold 29: fountain 8 of 8, Herz-Jesu
8 of 8, kitchen 7 of 7, the flat door of lund 6 of 10, where all err to one side. At 5 they hold 25, at 8 30."""
_UNMODELLED = 0.006
"""Of the logarithm, what lens and principal point have that is not modelled: 5 to 8 photos of the same sets, which by
their observations tell it to .003, are .000 to .022 off the calibrated one, six of ten by more than .003."""
_NINE_IN_TEN = 1.645
"""Standard deviations to either side that hold .9 of a normal distribution."""
UNCERTAIN = 0.1
"""Width of the interval of a focal length, as a share of it, from which a run says that it is uncertain."""
_CONTRADICTED = 0.15
"""Difference of the logarithms from which a recorded focal length is not what was found: three deviations."""


@dataclass(frozen=True)
class Start:
    """Focal lengths to start from."""

    focals: Float[np.ndarray, " L"]
    """Of each lens, in working pixels."""
    name: str


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


def lens_estimates(model: Candidate, prior: Prior, sensors: Sensors, graph: MatchGraph) -> tuple[LensEstimate, ...]:
    """The focal length of each lens of a model, with the interval that holds the true one nine times in ten."""
    bundle = model.bundle
    free = focal_deviations(bundle, prior, CORRELATED * bundle.noise_px())
    found = []
    for lens, log_focal in enumerate(bundle.log_focal):
        members = [i for i, own in zip(model.photos, bundle.lens, strict=True) if own == lens]
        exact = bool(sensors.exact[sensors.lens[members[0]]])
        deviation = 0.0 if exact else float(np.hypot(free[lens], _UNMODELLED))
        focal = float(np.exp(log_focal) / sensors.scale[members[0]])
        reach = float(np.exp(_NINE_IN_TEN * deviation))
        names = tuple(graph.photos[i].name for i in members)
        found.append(LensEstimate(names, focal, focal / reach, focal * reach))
    return tuple(found)


def uncertain(lenses: Iterable[LensEstimate]) -> list[str]:
    """A sentence for each lens whose focal length the photos hardly tell."""
    return [
        f"The focal length of {', '.join(lens.views)} is only known to lie between {lens.low_px:.0f} and "
        f"{lens.high_px:.0f} pixels."
        for lens in lenses
        if lens.width > UNCERTAIN
    ]


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
