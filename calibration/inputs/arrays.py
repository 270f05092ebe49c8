"""Keypoints as numpy arrays: all cameras of a rig in one file, or ours, one file a camera."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fewview.calibration.inputs.recording import Recording, recording
from fewview.calibration.skeleton import JOINTS
from fewview.recon.errors import InputError
from fewview.recon.io.documents import read_npz

_WANTED = (
    "It needs `persons` (camera, frame, person, joint, x y confidence), or `xy` (camera, frame, joint, 2) and `conf`."
)


def read_rig(path: Path, skeleton: str | None) -> list[Recording]:
    """All cameras of a rig: `persons` (C, F, P, K, 3), or `xy` (C, F, K, 2) with `conf` (C, F, K); `fps` if known.

    Raises:
        InputError: the file is not of this kind.
    """
    arrays = read_npz(path, _WANTED)
    fps = _fps(arrays, path)
    if "persons" in arrays:
        people = arrays["persons"]
    elif "xy" in arrays and "conf" in arrays and arrays["xy"].shape[:-1] == arrays["conf"].shape:
        people = np.concatenate([arrays["xy"], arrays["conf"][..., None]], axis=-1)[:, :, None]
    else:
        raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}.", _WANTED)
    if people.ndim != 5 or people.shape[-1] != 3 or not people.size or people.dtype.kind not in "fiu":
        raise InputError(f"The keypoints of {path} have shape {people.shape}.", _WANTED)
    return [recording("", each, skeleton, str(path), fps=fps) for each in people]


def read_camera(path: Path, camera: str) -> Recording:
    """One camera as `fewview.calibration.artifact` writes it: in our joints and pixels.

    Raises:
        InputError: the file is not of this kind.
    """
    arrays = read_npz(path, _WANTED)
    xy, confidence = arrays.get("xy", np.zeros(0)), arrays.get("confidence", np.zeros(0))
    size = arrays.get("size")
    fits = xy.ndim == 4 and xy.shape[2:] == (len(JOINTS), 2) and confidence.shape == xy.shape[:3] and xy.size
    numbers = all(array.dtype.kind in "fiu" for array in (xy, confidence, *([] if size is None else [size])))
    if not (fits and numbers) or (size is not None and (size.shape != (2,) or not (size >= 1).all())):
        raise InputError(f"{path} is not a camera's keypoints of fewview.", "Name a `keypoints` folder of a run.")
    xy, confidence = xy.astype(np.float32), confidence.astype(np.float32)
    absent = ~np.isfinite(xy).all(axis=-1) | ~(confidence > 0)
    return Recording(
        camera,
        np.where(absent[..., None], np.float32(np.nan), xy),
        np.where(absent, np.float32(0), np.minimum(confidence, np.float32(1))),
        None if size is None else (int(size[0]), int(size[1])),
        _fps(arrays, path),
    )


def _fps(arrays: Mapping[str, np.ndarray], path: Path) -> float | None:
    if "fps" not in arrays:
        return None
    if arrays["fps"].size == 1 and arrays["fps"].dtype.kind in "fiu" and 0 < (fps := float(arrays["fps"].item())) < 1e5:
        return fps
    raise InputError(f"{path} says no frame rate that is possible: {arrays['fps']}.", "Correct `fps`, or leave it out.")
