"""Keypoints as numpy arrays: all cameras of a rig in one file, or ours, one file a camera."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from calibration.inputs.recording import Recording, recording
from calibration.skeleton import JOINTS
from recon.errors import InputError

_WANTED = (
    "It needs `persons` (camera, frame, person, joint, x y confidence), or `xy` (camera, frame, joint, 2) and `conf`."
)


def read_rig(path: Path, skeleton: str | None) -> list[Recording]:
    """All cameras of a rig: `persons` (C, F, P, K, 3), or `xy` (C, F, K, 2) with `conf` (C, F, K); `fps` if known.

    Raises:
        InputError: the file is not of this kind.
    """
    arrays = _load(path)
    fps = float(arrays["fps"]) if "fps" in arrays else None
    if "persons" in arrays:
        people = arrays["persons"]
    elif "xy" in arrays and "conf" in arrays and arrays["xy"].shape[:-1] == arrays["conf"].shape:
        people = np.concatenate([arrays["xy"], arrays["conf"][..., None]], axis=-1)[:, :, None]
    else:
        raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}.", _WANTED)
    if people.ndim != 5 or people.shape[-1] != 3 or not people.shape[1]:
        raise InputError(f"The keypoints of {path} have shape {people.shape}.", _WANTED)
    return [recording("", each, skeleton, str(path), fps=fps) for each in people]


def read_camera(path: Path, camera: str) -> Recording:
    """One camera as `calibration.artifact` writes it: in our joints and pixels.

    Raises:
        InputError: the file is not of this kind.
    """
    arrays = _load(path)
    xy, confidence = arrays.get("xy", np.zeros(0)), arrays.get("confidence", np.zeros(0))
    if xy.ndim != 4 or xy.shape[2:] != (len(JOINTS), 2) or confidence.shape != xy.shape[:3]:
        raise InputError(f"{path} is not a camera's keypoints of fewview.", "Name a `keypoints` folder of a run.")
    absent = ~np.isfinite(xy).all(axis=-1) | ~(confidence > 0)
    size = tuple(int(value) for value in arrays["size"]) if "size" in arrays else None
    return Recording(
        camera,
        np.where(absent[..., None], np.float32(np.nan), xy.astype(np.float32)),
        np.where(absent, np.float32(0), confidence.astype(np.float32)),
        size,  # type: ignore[arg-type]
        float(arrays["fps"]) if "fps" in arrays else None,
    )


def _load(path: Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a readable npz file: {error}.", _WANTED) from error
