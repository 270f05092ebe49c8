"""The `photos/` artifact as later stages see it (docs/artifacts.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from recon.errors import InputError
from recon.io.documents import MALFORMED, read_text

_AGAIN = "It was altered: delete its folder and run again."

STAGE_NAME = "photos"
"""Two stages fill the artifact: one from the user's photos, one from a rig's videos."""


@dataclass(frozen=True)
class PhotoCount:
    given: int
    used: int


@dataclass(frozen=True)
class PhotosFacts:
    """What the stages that make `photos/` tell."""

    photos: PhotoCount | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Why, by the name of the photo."""
    focal_priors: int | None = None
    """Photos that record their focal length."""
    picture: str | None = None
    """What the pictures out of a rig's videos show."""


@dataclass(frozen=True)
class Photo:
    """One entry of `views.json`. Sizes and the focal length are those of the upright original, in pixels."""

    name: str
    """Unique within the run: the file's name, with a number where two folders hold the same."""
    key: str
    """Unique stem, safe for file names; per-view files of later stages are named by it."""
    source: str
    """Name of the file (for a frame: of the video)."""
    sha256: str
    """Digest of the original file (for a frame: of the video)."""
    width: int
    height: int
    image: str
    """Working image, relative to the artifact folder; empty for a photo that could not be decoded."""
    mask: str | None = None
    focal_px: float | None = None
    focal_source: str | None = None
    """`exif-35mm`, `exif-sensor` or None."""
    camera_group: str = ""
    """Photos with equal values come from one camera at one zoom, so they may share intrinsics."""
    sharpness: float | None = None
    """Variance of the Laplacian of the grey working image (0 to 255)."""
    excluded: str | None = None
    """Why the photo is left out, or None."""
    time_s: float | None = None
    """Time within its video."""
    exif: dict[str, Any] = field(default_factory=dict)

    def load_image(self, folder: Path) -> Float[np.ndarray, "h w 3"]:
        """The upright working image, RGB in [0, 1], float32."""
        return self.load_image8(folder).astype(np.float32) / np.float32(255)

    def load_image8(self, folder: Path) -> UInt8[np.ndarray, "h w 3"]:
        """The upright working image, 8-bit sRGB."""
        return cv2.cvtColor(_read_png(folder / self.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def load_mask(self, folder: Path) -> Bool[np.ndarray, "h w"] | None:
        """True where the photo may be used, at the size of the working image; None where none was given."""
        if self.mask is None:
            return None
        return _read_png(folder / self.mask, cv2.IMREAD_GRAYSCALE) >= 128


def load_photos(folder: Path, excluded: bool = False) -> list[Photo]:
    """The photos of a `photos/` artifact, in its order.

    Args:
        excluded: also return the photos that ingest left out (`Photo.excluded` says why).

    Raises:
        InputError: `views.json` is missing or damaged.
    """
    path = folder / "views.json"
    try:
        entries = json.loads(read_text(path, "Name the folder of a run."))["views"]
        photos = [Photo(**entry) for entry in entries]
        for photo in photos:
            texts = (
                photo.name,
                photo.key,
                photo.source,
                photo.sha256,
                photo.image,
                "" if photo.mask is None else photo.mask,
            )
            if not all(isinstance(text, str) for text in texts) or int(photo.width) < 0 or int(photo.height) < 0:
                raise ValueError(f"its entry {photo.name} holds what is no text or size")
    except MALFORMED as error:
        raise InputError(f"{path} is not a views.json of fewview: {error}.", _AGAIN) from error
    return [photo for photo in photos if excluded or photo.excluded is None]


def save_photos(folder: Path, photos: list[Photo]) -> None:
    """Write `views.json`; the same photos always give the same bytes."""
    text = json.dumps({"views": [asdict(photo) for photo in photos]}, indent=1, sort_keys=True)
    (folder / "views.json").write_text(text + "\n", encoding="utf-8")


def named_like(photo: str, names: Sequence[str]) -> list[int]:
    """Places of the names that mean the photo: by its whole name, else by its file's name, else without suffix."""
    for same in (str, lambda name: PurePosixPath(name).name, lambda name: PurePosixPath(name).stem):
        fitting = [k for k, name in enumerate(names) if same(name) == same(photo)]
        if fitting:
            return fitting
    return []


def _read_png(path: Path, flags: int) -> np.ndarray:
    # imdecode and not imread: OpenCV cannot open non-ASCII paths on every system.
    data = np.frombuffer(path.read_bytes() if os.path.isfile(path) else b"", np.uint8)
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # of sizes beyond its limits
        image = None
    if image is None:
        raise InputError(f"The working image {path} cannot be decoded.", _AGAIN)
    return image
