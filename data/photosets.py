"""Real photo sets with true cameras, for benchmarks and tests. The sets are not part of the project.

A set is a folder with `images/` and `cameras.json`: `frames[]` of `file, width, height, fx, fy, cx, cy`,
optional `distortion` (k1, k2, p1, p2[, k3]) and `world_from_camera`, OpenCV axes. Their first pixel lies
at (0, 0); reading moves it to (0.5, 0.5), the convention inside the program.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import canonical_distortion, check_intrinsics, check_rigid
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View

TEST_PHOTOS = 6
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")


@dataclass(frozen=True)
class PhotoSet:
    """Photos and their true cameras, in the order of the file."""

    name: str
    images: list[Path]
    views: list[View]
    """Named after the image files, at the images' resolution."""
    units: str
    """As the set's author states them."""


def data_root() -> Path:
    """Where the sets are: the environment variable FEWVIEW_DATA, or `../shared/data` of the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("FEWVIEW_DATA", default))


def load_photoset(path: Path) -> PhotoSet:
    """Read one set.

    Raises:
        InputError: the folder, its `cameras.json` or an image is missing, or the file is not in this format.
    """
    file = path / "cameras.json"
    try:
        document = json.loads(read_text(file, "Name a folder of photos with true cameras."))
        frames = document["frames"]
        views = [_view(frame) for frame in frames]
        images = [path / frame["file"] for frame in frames]
    except MALFORMED as error:
        raise InputError(f"{file} is not a photo set: {error!r}.", "See data/photosets.py for the format.") from error
    for image in images:
        if not os.path.isfile(image):
            raise InputError(f"{file} names {image}, which is missing.", "Copy the set again.")
    return PhotoSet(document.get("name", path.name), images, views, document.get("units", "unknown"))


def evenly_spaced(n: int, k: int) -> list[int]:
    """`k` of `n` indices: round(linspace(0, n - 1, k)), ties to even as numpy rounds.

    Raises:
        ValueError: unless 1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"cannot take {k} of {n}")
    return [int(i) for i in np.round(np.linspace(0, n - 1, k))]


def benchmark_split(n: int, k: int) -> tuple[list[int], list[int]]:
    """Indices of the training and the test photos of a set of `n`.

    `k` evenly spaced ones are for training; of the rest, 6 likewise for testing (all where fewer are left).
    """
    train = evenly_spaced(n, k)
    rest = sorted(set(range(n)) - set(train))
    test = [rest[i] for i in evenly_spaced(len(rest), min(TEST_PHOTOS, len(rest)))] if rest else []
    return train, test


def _view(frame: dict[str, Any]) -> View:
    distortion = frame.get("distortion") or {}
    if isinstance(distortion, dict):
        distortion = [distortion.get(key, 0.0) for key in _DISTORTION]
    camera = Camera(
        width=int(frame["width"]),
        height=int(frame["height"]),
        fx=float(frame["fx"]),
        fy=float(frame["fy"]),
        cx=float(frame["cx"]) + 0.5,
        cy=float(frame["cy"]) + 0.5,
        distortion=canonical_distortion(distortion),
    )
    check_intrinsics(camera, frame["file"])
    T = np.array(frame["world_from_camera"], np.float64)
    check_rigid(T, tolerance=1e-4)
    return View(Path(frame["file"]).name, camera, T)
