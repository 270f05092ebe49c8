"""One HTML page about a calibrated rig: plan, residuals, consensus over time, moving skeletons. No network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np

from fewview.calibration.observations import Motion, Rig
from fewview.calibration.skeleton import BONES
from fewview.recon.scene import View

_TEMPLATE = Path(__file__).with_name("report_template.html")
_ANIMATED = 240
"""Frames of the animation."""
_BINS = 200
"""Points of the curve over time."""


def write_report(path: Path, rig: Rig, motion: Motion) -> None:
    """Write the page; the motion is that of the first take."""
    facts = cast(Mapping[str, Any], rig.facts)
    names = [view.name for view in rig.views]
    by_pair = facts["reprojection_px_by_pair"]
    data = {
        "units": "m" if rig.units == "metre" else "units",
        "scale": f"{rig.scale_source}, to {rig.scale_uncertainty:.1%}",
        "cameras": [_camera(rig, view) for view in rig.views],
        "unplaced": rig.unplaced,
        "pairs": [
            [a, b, round(px, 2)] for a, b in combinations(names, 2) if (px := by_pair.get(f"{a} {b}")) is not None
        ],
        "consensus": _consensus(motion),
        "motion": _animation(motion),
        "bones": BONES,
        "warnings": [f"{what}: {why}" for what, why in {**facts["degeneracies"], **facts["untied_pairs"]}.items()],
    }
    # `</` would end the script element within a name.
    text = json.dumps(data, sort_keys=True, allow_nan=False).replace("</", "<\\/")
    path.write_text(_TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", text), encoding="utf-8")


def _camera(rig: Rig, view: View) -> dict[str, Any]:
    camera, facts = view.camera, cast(Mapping[str, Any], rig.facts)
    residual_px = facts["reprojection_px_by_camera"].get(view.name)
    return {
        "name": view.name,
        "center": _rounded(view.center),
        "forward": _rounded(view.T_world_camera[:3, 2]),
        "size": f"{camera.width}x{camera.height}",
        "half_angle": round(float(np.arctan(camera.width / 2 / camera.fx)), 4),
        "focal_px": round(camera.fx, 1),
        "distortion": [round(value, 4) for value in camera.distortion],
        "offset_s": round(rig.offsets_s.get(view.name, 0.0), 4),
        "residual_px": None if residual_px is None else round(residual_px, 2),
    }


def _consensus(motion: Motion) -> list[list[float]]:
    """Time, mean score and mean number of agreeing cameras of the known joints, in bins."""
    known = motion.score > 0
    out = []
    for part in np.array_split(np.arange(len(motion.xyz)), min(_BINS, max(1, len(motion.xyz)))):
        if len(part) and known[part].any():
            score, support = motion.score[part][known[part]].mean(), motion.support[part][known[part]].mean()
            time = motion.start_s + float(part.mean()) / motion.fps
            out.append([round(time, 3), round(float(score), 3), round(float(support), 2)])
    return out


def _animation(motion: Motion) -> dict[str, Any]:
    """Positions rounded to thousandths; null where unknown."""
    step = max(1, len(motion.xyz) // _ANIMATED)
    frames = motion.xyz[::step].round(3)
    known = np.isfinite(frames).all(-1)
    return {
        "fps": motion.fps / step,
        "start_s": motion.start_s,
        "frames": [
            [
                [[float(v) for v in joint] if ok else None for joint, ok in zip(person, oks, strict=True)]
                for person, oks in zip(people, known_people, strict=True)
            ]
            for people, known_people in zip(frames, known, strict=True)
        ],
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
