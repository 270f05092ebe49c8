"""Synthetic captures and their comparison with the truth, shared by tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewview.calibration.observations import Rig
from fewview.data.people import Capture, CaptureConfig, Walker, capture, ring
from fewview.recon.geometry.fit import fit_sim3, nearest_rotation
from fewview.recon.scene import View

HEIGHT_M = 1.75


@dataclass(frozen=True)
class Errors:
    """Of a rig against the truth."""

    s_te_m: float
    """Mean distance of centres after the best similarity."""
    rotation_deg: float
    """Largest angle over cameras after the best rotation."""
    focal: float
    """Largest relative error."""
    offset_s: float
    """Largest, relative to the first camera."""
    scale: float
    """Relative, signed."""


def walkers(people: int, seed: int) -> list[Walker]:
    """People of one height side by side."""
    return [Walker(HEIGHT_M, 100 * seed + i, center_m=(0.9 * (i - (people - 1) / 2), 0.0)) for i in range(people)]


def record(
    cameras: int, people: int, seed: int, config: CaptureConfig, strongest_k1: float = 0.3
) -> tuple[list[View], Capture]:
    views = ring(cameras, seed, strongest_k1=strongest_k1)
    return views, capture(views, walkers(people, seed), config, seed)


def compare(rig: Rig, views: list[View], truth: Capture) -> Errors:
    by_name = {view.name: view for view in views}
    pairs = [(view, by_name[view.name]) for view in rig.views]
    found = np.array([a.center for a, _ in pairs])
    true = np.array([b.center for _, b in pairs])
    fit = fit_sim3(found, true)
    distance = np.linalg.norm(fit(found) - true, axis=1)
    Q = nearest_rotation(np.sum([b.T_world_camera[:3, :3] @ a.T_world_camera[:3, :3].T for a, b in pairs], axis=0))
    chord = [np.linalg.norm(Q @ a.T_world_camera[:3, :3] - b.T_world_camera[:3, :3]) for a, b in pairs]
    first = rig.views[0].name
    offsets = [
        rig.offsets_s[name] - rig.offsets_s[first] - truth.offsets_s[name] + truth.offsets_s[first]
        for name in rig.offsets_s
    ]
    return Errors(
        float(distance.mean()),
        float(np.degrees(2 * np.arcsin(max(chord) / np.sqrt(8)))),
        max(abs(a.camera.fx / b.camera.fx - 1) for a, b in pairs),
        float(np.abs(offsets).max()),
        1 / fit.scale - 1,
    )
