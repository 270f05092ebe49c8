"""Motion as npz, with every digit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fewview.calibration.observations import Motion
from fewview.calibration.skeleton import JOINTS
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_npz

MARKERS = tuple(
    name.capitalize()
    if name == "nose"
    else name[0].upper() + "".join(part.capitalize() for part in name.split("_")[1:])
    for name in JOINTS
)
"""Names of the joints in biomechanics (Pose2Sim's and OpenSim's), such as LShoulder."""


def write_motion(path: Path, motion: Motion) -> None:
    """Write `xyz` (T, P, J, 3) in the world of cameras.json, `score`, `support`, `fps`, `start_s` and `joints`."""
    np.savez_compressed(
        path,
        xyz=motion.xyz,
        score=motion.score,
        support=motion.support,
        fps=np.array(motion.fps),
        start_s=np.array(motion.start_s),
        joints=np.array(JOINTS),
    )


def read_motion(path: Path) -> Motion:
    """Read what `write_motion` wrote.

    Raises:
        InputError: not such a file.
    """
    arrays = read_npz(path, "Name the output of `fewview calibrate`.")
    try:
        motion = Motion(
            float(arrays["fps"]), float(arrays["start_s"]), arrays["xyz"], arrays["score"], arrays["support"]
        )
        if motion.xyz.ndim != 4 or motion.xyz.shape[2:] != (len(JOINTS), 3) or motion.xyz.dtype.kind != "f":
            raise ValueError(f"its joints have shape {motion.xyz.shape}")
        if not motion.score.shape == motion.support.shape == motion.xyz.shape[:3]:
            raise ValueError("its arrays differ in shape")
        if not (0 < motion.fps < math.inf and math.isfinite(motion.start_s)):
            raise ValueError("its frame rate or start is no number")
    except MALFORMED as error:
        raise InputError(f"{path} is not a motion of fewview: {error}.", "Calibrate again.") from error
    return motion
