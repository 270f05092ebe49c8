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

from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text

_AGAIN = "It was altered: delete its folder and run again."

STAGE_NAME = "photos"
"""Two stages fill the artifact: one from the user's photos, one from a rig's videos."""


@dataclass(frozen=True)
class PhotoCount:
    given: int
    used: int


@dataclass(frozen=True)
class MasksFound:
    """Masks of the photos."""

    photos: int
    """That have one."""
    folders: tuple[str, ...]
    """Names of those that they come from."""
    asked_for: bool
    """Whether the user named the folder."""


@dataclass(frozen=True)
class PhotosFacts:
    """What the stages that make `photos/` tell."""

    photos: PhotoCount | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Why, by the name of the photo."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Files beside the photos that were not read, and why."""
    masks: MasksFound | None = None
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
    """Name of the file (for a frame: of the video), after as many of its folders' names as tell it from files of the
    same name, by slashes."""
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

    @property
    def told(self) -> str:
        """What files of cameras and pointmaps may call it: its name, with folders where those tell it from others."""
        return self.source if "/" in self.source and self.time_s is None else self.name

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
    """Places of the names that mean the photo.

    Both may hold folders, by slashes, and either may lack the suffix. The whole name goes before the file's name with
    suffix, and that before the name without; of several that fit, those count that share the most folders.
    """
    if photo in names:
        return [k for k, name in enumerate(names) if name == photo]
    own = PurePosixPath(photo)
    paths = [PurePosixPath(name) for name in names]
    fitting = [k for k, path in enumerate(paths) if path.name == own.name]
    # A name without suffix may hold a dot: `frame.001` means `frame.001.jpg`.
    fitting = fitting or [k for k, path in enumerate(paths) if path.stem == own.stem or path.name == own.stem]
    shared = {k: _shared_folders(own, paths[k]) for k in fitting}
    if own.parent.parts and any(len(path.parts) > 1 for path in paths):
        # A photo told apart by its folder is not one of the same name in another folder.
        fitting = [k for k in fitting if shared[k] or len(paths[k].parts) == 1]
    most = max((shared[k] for k in fitting), default=0)
    return [k for k in fitting if shared[k] == most]


def _shared_folders(one: PurePosixPath, other: PurePosixPath) -> int:
    """How many of the folders before the file's name are the same, counted from it."""
    count = 0
    for a, b in zip(reversed(one.parts[:-1]), reversed(other.parts[:-1]), strict=False):
        if a != b:
            break
        count += 1
    return count


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
