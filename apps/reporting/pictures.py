"""Pictures small enough to stand in a page: JPEG data URIs below a stated size."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fewview.apps.results import PhotoResult
from fewview.apps.results.photos import read_comparison
from fewview.recon.depth.artifact import DepthMap
from fewview.splatting.pictures import Range, depth_colours, depth_range

SIDE_PX = 480
THUMB_PX = 160
MOST_PICTURED = 24
"""So many photos are shown with renders, depth and overlay; all have a thumbnail."""
MOST_BYTES = 48 * 1024
"""Of one picture; a thumbnail has a quarter of it. With `MOST_PICTURED` photos of six pictures each, 100 thumbnails and
a film a page stays below 14 MB."""
MOST_FILM_BYTES = 1_600_000
"""A larger film is left out: it lies beside the page."""
_QUALITIES = (85, 75, 60, 45, 30, 15)
_UNKNOWN = 40
"""Grey of what has no depth, as in `fewview.splatting.pictures`."""


@dataclass(frozen=True)
class Picture:
    uri: str
    width: int
    height: int


def from_array(image: UInt8[np.ndarray, "H W 3"], side: int = SIDE_PX, most: int = MOST_BYTES) -> Picture:
    """A JPEG of at most `side` pixels and `most` bytes; a picture that would be larger is shrunk further."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    while True:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=quality)
            if file.tell() <= most:
                text = base64.b64encode(file.getvalue()).decode("ascii")
                return Picture(f"data:image/jpeg;base64,{text}", *picture.size)
        side //= 2


def from_file(path: Path, side: int = SIDE_PX, most: int = MOST_BYTES) -> Picture:
    """As `from_array`."""
    with Image.open(path) as image:
        return from_array(np.asarray(image.convert("RGB")), side, most)


def thumbnail(path: Path) -> Picture:
    return from_file(path, THUMB_PX, MOST_BYTES // 4)


def comparison(path: Path) -> tuple[Picture, Picture, Picture]:
    """Photo, render and error of a picture in `renders/compare/`; the square root makes small errors visible."""
    parts = read_comparison(path)
    root = np.round(np.sqrt(parts.error / 255) * 255).astype(np.uint8)
    error = np.where(parts.counts[..., None], _coloured(root, cv2.COLORMAP_INFERNO), np.uint8(_UNKNOWN))
    return from_array(parts.photo), from_array(parts.render), from_array(error)


def film(path: Path) -> str | None:
    """A data URI; None where there is no film, or a large one."""
    if not path.is_file() or path.stat().st_size > MOST_FILM_BYTES:
        return None
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


@dataclass(frozen=True)
class DepthPictures:
    depth: Picture
    confidence: Picture
    """Dark where unsure, yellow where sure; grey where the depth is unknown."""


def depth_pictures(folder: Path, photos: Sequence[PhotoResult]) -> tuple[Mapping[str, DepthPictures], Range | None]:
    """By photo its depth and confidence; and the range of depths that the colours of all of them span.

    Args:
        folder: the artifact `depth/`.
        photos: those to show; the ones that were not placed have none.
    """
    maps = {}
    for photo in photos:
        path = folder / f"{photo.key}.npz"
        if path.is_file():
            seen = DepthMap.load(path)
            maps[photo.name] = seen.depth, seen.confidence.astype(np.float32)
    span = depth_range(np.concatenate([depth.ravel() for depth, _ in maps.values()])) if maps else None
    if span is None:
        return {}, None
    return {
        name: DepthPictures(from_array(depth_colours(depth, span)), from_array(_confidence_colours(depth, confidence)))
        for name, (depth, confidence) in maps.items()
    }, span


def _confidence_colours(
    depth: Float[np.ndarray, "H W"], confidence: Float[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    shade = np.round(np.clip(confidence, 0, 1) * 255).astype(np.uint8)
    return np.where(np.isfinite(depth)[..., None], _coloured(shade, cv2.COLORMAP_VIRIDIS), np.uint8(_UNKNOWN))


def _coloured(shade: UInt8[np.ndarray, "H W"], colour_map: int) -> UInt8[np.ndarray, "H W 3"]:
    return cv2.applyColorMap(np.ascontiguousarray(shade), colour_map)[..., ::-1]
