"""Every plane of a scene that the photos speak for: what completion may put where stereo is silent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import DepthMap
from fewview.recon.depth.planes import (
    ScenePlane,
    axis_planes,
    is_same,
    largest_planes,
    outlined,
    same_offset,
    sample_verified,
    snapped,
    square_axes,
)
from fewview.recon.depth.shell import border_planes, mark_enclosing, without_doubles
from fewview.recon.directions import line_segments, refine_axes
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class ScenePlanes:
    planes: list[ScenePlane]
    axes: Float[np.ndarray, "3 3"] | None
    """Rows: the room's directions (world, unit, orthogonal); None where no two planes meet squarely."""

    def save(self, path: Path) -> None:
        """Write `planes.json` (docs/artifacts.md)."""
        planes = [
            {
                "encloses": plane.encloses,
                "evidence": plane.evidence,
                "normal": plane.normal.tolist(),
                "offset": plane.offset,
            }
            for plane in self.planes
        ]
        record = {"axes": None if self.axes is None else self.axes.tolist(), "planes": planes}
        path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def find_planes(views: Sequence[PosedImage], maps: Sequence[DepthMap], seed: int) -> ScenePlanes:
    """Planes by RANSAC on verified points, square with the room where they nearly are, and the room's shell."""
    samples = sample_verified(views, maps)
    if len(samples.xyz) < tol.LEAST_SAMPLES:
        return ScenePlanes([], None)
    planes, shares = largest_planes(samples, seed)
    axes = square_axes(planes, shares)
    centers = np.array([view.T_world_camera[:3, 3] for view in views])
    if axes is None:
        return ScenePlanes([outlined(p, samples) for p in mark_enclosing(planes, samples, centers)], None)
    segments = [line_segments(view) for view in views]
    axes = refine_axes(axes, views, segments, np.array([plane.normal for plane in planes]), shares)
    unit = same_offset(samples)
    square: list[ScenePlane] = []
    for plane in (snapped(plane, axes, samples) for plane in planes):
        if not any(is_same(plane.normal, plane.offset, other, unit) for other in square):
            square.append(plane)
    planes = mark_enclosing(square + axis_planes(axes, samples, square), samples, centers)
    planes = [outlined(plane, samples) for plane in planes]
    borders = border_planes(views, maps, segments, planes, axes, samples)
    return ScenePlanes(without_doubles(planes, borders, unit), axes)
