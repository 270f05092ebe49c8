"""Measures a calibrated rig and its motion against known ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fewview.calibration import metrics
from fewview.calibration.artifact import load_rig
from fewview.calibration.formats.known import match_names, read_cameras_file
from fewview.calibration.formats.motion import read_motion
from fewview.calibration.observations import Motion
from fewview.calibration.stage import STAGE as MOTION
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.io.documents import MALFORMED, read_npz, read_text
from fewview.recon.scene import View

WITHIN_DEG = 10.0
WITHIN_PERCENT = 10.0


def evaluate_rig(out: Path, truth: Path, motion: Path | None = None) -> dict[str, Any]:
    """Figures of the run of `fewview calibrate` in `out`; lengths are metres of the truth, angles degrees.

    Cameras that were not placed count as errors in `rra10` and `cca10`; the other figures are over those placed.

    Args:
        truth: cameras in any format that `read_cameras_file` reads.
        motion: npz with the true joints, see `read_truth_motion`.

    Raises:
        InputError: a file is missing or of another kind, or no camera has the name of a true one.
    """
    folder = out / MOTION.name
    estimate = read_cameras(folder)
    everyone = [verdict.name for verdict in estimate.verdicts]
    matched = match_names(read_cameras_file(truth), everyone, truth)
    true_views = {name: view for name, view in matched.items() if isinstance(view, View)}
    figures = camera_figures(true_views, estimate, len(everyone))
    rig = load_rig(folder)
    own = read_motion(folder / f"{rig.takes[0]}.npz")
    figures |= {"reprojection_px": rig.facts.get("reprojection_px"), "scale_uncertainty": rig.scale_uncertainty}
    figures["offsets_frames"] = {camera: seconds * own.fps for camera, seconds in rig.offsets_s.items()}
    figures["seconds"] = _seconds(out / "manifest.json")
    if motion is not None:
        figures["motion"] = motion_figures(read_truth_motion(motion, own), own.xyz)
    return figures


def _seconds(path: Path) -> float:
    """That calibrating took, by the manifest of the run."""
    try:
        manifest = json.loads(read_text(path, "Name the output of `fewview calibrate`."))
        return float(manifest["stages"][MOTION.name]["seconds"])
    except MALFORMED as error:
        raise InputError(f"{path} is damaged: {error!r}.", "Calibrate again.") from error


def camera_figures(truth: Mapping[str, View], estimate: CameraSet, cameras: int) -> dict[str, Any]:
    """The figures of cameras alone.

    Raises:
        InputError: fewer than two cameras are both placed and true.
    """
    found = {view.name: view for view in estimate.views}
    both = [name for name in truth if name in found]
    if len(both) < 2:
        raise InputError(f"{len(both)} of the true cameras were placed.", "Two or more are needed to measure them.")
    true, own = [truth[name] for name in both], [found[name] for name in both]
    a, b = (np.stack([view.T_world_camera for view in views]) for views in (true, own))
    pairs, all_pairs = len(both) * (len(both) - 1), len(truth) * (len(truth) - 1)
    turned = metrics.rotation_errors_deg(a, metrics.compensated(true, own))
    focal, angles = metrics.focal_errors(true, own), metrics.rotation_errors_deg(a, b)
    exact = metrics.centre_errors(a, b, similarity=False)
    return {
        "cameras": cameras,
        "calibrated": len(estimate.views),
        "s_te_m": _mean(metrics.centre_errors(a, b, similarity=True)),
        "te_m": _mean(exact) if estimate.units == "metre" else None,
        "rotation_deg": _mean(angles),
        "rotation_compensated_deg": _mean(turned),
        "rra10": metrics.rra(a, b, WITHIN_DEG) * pairs / all_pairs,
        "rta10": metrics.rta(a, b, WITHIN_DEG) * pairs / all_pairs,
        "cca10": metrics.cca(a, b, WITHIN_PERCENT) * len(both) / len(truth) if len(both) > 2 else None,
        "focal_relative_error": _mean(focal),
        "scale_error": metrics.scale_error(a, b) if estimate.units == "metre" else None,
        "per_camera": {
            name: {"te_m": float(exact[i]), "rotation_deg": float(angles[i]), "focal_relative_error": float(focal[i])}
            for i, name in enumerate(both)
        },
    }


def motion_figures(truth: Float[np.ndarray, "T P J 3"], estimate: Float[np.ndarray, "T P J 3"]) -> dict[str, Any]:
    """Joints against the truth, people matched by least error: after one similarity for all (`similarity_mm`), one
    rigid motion (`rigid_mm`), and one similarity a person and frame (`pa_mpjpe_mm`); and the share that is known."""
    frames, joints = min(len(truth), len(estimate)), min(truth.shape[2], estimate.shape[2])
    truth, estimate = truth[:frames, :, :joints], estimate[:frames, :, :joints]
    chosen = _match_people(truth, estimate)
    a = np.stack([estimate[:, p] for p in chosen], axis=1) if chosen else estimate[:, :0]
    b = truth[:, : len(chosen)]
    own = [metrics.joint_errors(b[t, p], a[t, p], similarity=True) for t in range(frames) for p in range(len(chosen))]
    both = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    return {
        "similarity_mm": 1000 * _mean(metrics.joint_errors(b, a, similarity=True)),
        "rigid_mm": 1000 * _mean(metrics.joint_errors(b, a, similarity=False)),
        "pa_mpjpe_mm": 1000 * _mean(np.concatenate(own) if own else np.zeros(0)),
        "known": float(both.sum() / max(1, np.isfinite(b).all(-1).sum())),
    }


def read_truth_motion(path: Path, own: Motion) -> Float[np.ndarray, "T P J 3"]:
    """True joints, at the frames of `own`: ours (by their times), or `keypoints3d_m` (T, K, 3) whose frame 0 is at
    common time 0, in the order of our joints.

    Raises:
        InputError: neither.
    """
    wanted = "It needs `xyz` or `keypoints3d_m`."
    arrays = read_npz(path, wanted)
    if "xyz" not in arrays and "keypoints3d_m" not in arrays:
        raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}.", wanted)
    try:
        xyz = arrays["xyz"] if "xyz" in arrays else arrays["keypoints3d_m"][:, None]
        fps = float(arrays["fps"]) if "fps" in arrays else own.fps
        start_s = float(arrays["start_s"]) if "start_s" in arrays else 0.0
        if xyz.ndim != 4 or xyz.shape[-1] != 3 or xyz.dtype.kind not in "fiu":
            raise ValueError(f"its joints have shape {xyz.shape}")
        if not (0 < fps < math.inf and math.isfinite(start_s)):
            raise ValueError("its frame rate or start is no number")
    except MALFORMED as error:
        raise InputError(f"{path} is not true motion: {error}.", wanted) from error
    times = own.start_s + np.arange(len(own.xyz)) / own.fps
    index = np.round((times - start_s) * fps).astype(int)
    inside = (index >= 0) & (index < len(xyz))
    out = np.full((len(times), *xyz.shape[1:]), np.nan)
    out[inside] = xyz[index[inside]]
    return out


def _match_people(truth: np.ndarray, estimate: np.ndarray) -> list[int]:
    """For each true person the own one whose movement is most alike."""
    chosen: list[int] = []
    for p in range(truth.shape[1]):
        costs = {
            q: _mean(metrics.joint_errors(truth[:, p], estimate[:, q], similarity=True))
            for q in range(estimate.shape[1])
            if q not in chosen
        }
        costs = {q: cost for q, cost in costs.items() if math.isfinite(cost)}
        if not costs:
            break
        chosen.append(min(costs, key=costs.__getitem__))
    return chosen


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
