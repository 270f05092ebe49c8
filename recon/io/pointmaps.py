"""Reads pre-computed pointmaps (docs/pointmaps.md): of photos in one world, or of pairs of photos."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from fewview.recon.errors import InputError
from fewview.recon.geometry.fit import nearest_rotation
from fewview.recon.io.cameras import UNITS, check_rigid

_WANTED = (
    "Give `photos` with `points` (N, H, W, 3) and `poses` (N, 4, 4), or with `pairs` (E, 2), `points_first` and "
    "`points_second` (E, H, W, 3): see docs/pointmaps.md."
)
_PLAIN = float(np.e)
"""Confidence of maps that come without: all points count alike."""


@dataclass(frozen=True)
class ViewPoints:
    """Pointmaps of photos in one world, with the poses of their cameras."""

    photos: list[str]
    points: Float[np.ndarray, "N H W 3"]
    """World; NaN = unknown."""
    confidence: Float[np.ndarray, "N H W"]
    """At least 1 where something is known."""
    Ts_world_camera: Float[np.ndarray, "N 4 4"]
    units: str
    """`unknown` or `metre`."""


@dataclass(frozen=True)
class PairPoints:
    """Pointmaps of pairs of photos in the frame of the first one's camera, each at a scale of its own."""

    photos: list[str]
    pairs: Int[np.ndarray, "E 2"]
    """Places in `photos`."""
    points: tuple[Float[np.ndarray, "E H W 3"], Float[np.ndarray, "E h w 3"]]
    """Of the first photos and of the second."""
    confidence: tuple[Float[np.ndarray, "E H W"], Float[np.ndarray, "E h w"]]


def pointmap_files(path: Path) -> tuple[Path, ...]:
    """The npz files that `path` names: itself, or those in the folder, by name.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise InputError(f"There are no pointmaps at {path}.", "Check the path.")
    files = tuple(sorted(path.glob("*.npz")))
    if not files:
        raise InputError(f"There is no npz file in {path}.", "Name the folder that holds the pointmaps, or a file.")
    return files


def read_pointmaps(path: Path) -> ViewPoints | PairPoints:
    """Read one file.

    Raises:
        InputError: it is no npz file, or does not hold what docs/pointmaps.md says.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not a readable npz file: {error}.", _WANTED) from error
    return check_pointmaps(arrays, str(path))


def check_pointmaps(arrays: Mapping[str, np.ndarray], where: str) -> ViewPoints | PairPoints:
    """The arrays of one file, or of a network's prediction, in our terms.

    Args:
        where: what holds them, for messages.

    Raises:
        InputError: they are not what docs/pointmaps.md says.
    """
    keys = set(arrays)
    if not ({"photos", "points", "poses"} <= keys or {"photos", "pairs", "points_first", "points_second"} <= keys):
        raise InputError(f"{where} holds {', '.join(sorted(keys)) or 'nothing'}.", _WANTED)
    photos = [str(name) for name in arrays["photos"].ravel()]
    if arrays["photos"].dtype.kind != "U" or not photos or len(set(photos)) < len(photos):
        raise InputError(f"`photos` of {where} is no text, names no photo, or one twice.", _WANTED)
    if "pairs" in keys:
        return _pairs(arrays, photos, where)
    points, confidence = _maps(arrays, "points", "confidence", len(photos), where)
    poses = _numbers(arrays, "poses", (len(photos), 4, 4), where)
    for name, points_of, sure, pose in zip(photos, points, confidence, poses, strict=True):
        _check_known(points_of, sure, name, where)
        try:
            check_rigid(pose, tolerance=1e-3)
        except ValueError as error:
            raise InputError(
                f"{where}, photo {name}: {error}.", "Give camera-to-world poses, 4x4, OpenCV axes."
            ) from error
    units = str(arrays.get("units", "unknown"))
    if units not in UNITS:
        raise InputError(f"`units` of {where} is {units}.", f"Choose from {', '.join(UNITS)}.")
    return ViewPoints(photos, points, confidence, _orthonormal(poses), units)


def _pairs(arrays: Mapping[str, np.ndarray], photos: list[str], where: str) -> PairPoints:
    pairs = arrays["pairs"]
    sound = pairs.ndim == 2 and pairs.shape[1:] == (2,) and len(pairs) and pairs.dtype.kind in "iu"
    if not sound or pairs.min() < 0 or pairs.max() >= len(photos) or (pairs[:, 0] == pairs[:, 1]).any():
        raise InputError(f"`pairs` of {where} does not name two of its {len(photos)} photos in each row.", _WANTED)
    first = _maps(arrays, "points_first", "confidence_first", len(pairs), where)
    second = _maps(arrays, "points_second", "confidence_second", len(pairs), where)
    for k, pair in enumerate(pairs):
        for (points, confidence), view in zip((first, second), pair, strict=True):
            _check_known(points[k], confidence[k], photos[view], where)
    return PairPoints(photos, pairs.astype(int), (first[0], second[0]), (first[1], second[1]))


def _maps(
    arrays: Mapping[str, np.ndarray], points_key: str, confidence_key: str, count: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    points = _numbers(arrays, points_key, (count, "H", "W", 3), where)
    if confidence_key not in arrays:
        return points, np.full(points.shape[:3], _PLAIN, np.float32)
    return points, _numbers(arrays, confidence_key, points.shape[:3], where)


def _numbers(arrays: Mapping[str, np.ndarray], key: str, shape: tuple[int | str, ...], where: str) -> np.ndarray:
    """Letters in `shape` stand for any number but 0."""
    array = arrays[key]
    fits = array.ndim == len(shape) and all(
        n > 0 if isinstance(wanted, str) else n == wanted for n, wanted in zip(array.shape, shape, strict=False)
    )
    if not fits or array.dtype.kind not in "fiu":
        wanted = ", ".join(map(str, shape))
        raise InputError(
            f"`{key}` of {where} has shape {array.shape} and type {array.dtype}, not ({wanted}) numbers.", _WANTED
        )
    return array


def _check_known(points: np.ndarray, confidence: np.ndarray, name: str, where: str) -> None:
    if not (np.isfinite(points).all(axis=-1) & np.isfinite(confidence) & (confidence > 1)).any():
        raise InputError(
            f"{where} knows no point of {name}: all are NaN, or of confidence 1 or less.",
            "Give confidences above 1 to what is known, or none at all.",
        )


def _orthonormal(poses: np.ndarray) -> Float[np.ndarray, "N 4 4"]:
    """With the nearest rotations: networks compute in 32 or 16 bits."""
    out = poses.astype(np.float64)
    out[:, :3, :3] = nearest_rotation(out[:, :3, :3])
    return out
