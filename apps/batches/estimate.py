"""What a scene will take, by its photos and its options.

Fitted to whole runs on Linux x86-64 with CPU torch 2.13, all processes of a scene together (docs/batch.md has the
table): matching grows with the size of its images and not with their number, since it works on two at a time; the
stages after it keep every photo.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError

from fewview.apps.options import StageOptions
from fewview.apps.pipeline import SPECS
from fewview.layout import STAGE as LAYOUT
from fewview.recon.depth import STAGE as DEPTH
from fewview.recon.io.images import MAX_MEGAPIXELS, UnusableImage
from fewview.recon.io.inputs import is_video
from fewview.recon.io.video import open_video
from fewview.recon.photos import STAGE_NAME as PHOTOS

_MARGIN = 1.1
_RIG_MIB = 700
"""The people in a rig's videos, and the median of 30 frames."""
_NAMES = [spec.name for spec in SPECS.values()]
_BEFORE_DEPTH = _NAMES[: _NAMES.index(DEPTH.name)]
_ASPECT = 0.75
"""Height by width, taken for all photos."""


@dataclass(frozen=True)
class Load:
    """What a scene's photos are."""

    photos: int
    videos: int
    megapixels: float
    """Of the largest photo or video; 0 where none can be read."""

    def views(self, options: StageOptions) -> int:
        """A rig gives one picture a camera."""
        frames = 1 if options.options.cameras.source == "keypoints" else options.options.photos.video_frames
        return self.photos + self.videos * frames


def measure(files: Iterable[Path]) -> Load:
    """Counts photos and videos, and reads their heads."""
    photos = videos = 0
    megapixels = 0.0
    for path in files:
        if is_video(path):
            videos += 1
        else:
            photos += 1
        megapixels = max(megapixels, _size(path))
    return Load(photos, videos, megapixels)


def _size(path: Path) -> float:
    """In megapixels; 0 where a file cannot be read."""
    try:
        if is_video(path):
            capture = open_video(path)
            size = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
            capture.release()
            return size / 1e6
        with Image.open(path) as image:
            return image.width * image.height / 1e6
    except Image.DecompressionBombError:  # a JPEG is then decoded at a fraction that is smaller
        return float(MAX_MEGAPIXELS)
    except (OSError, UnidentifiedImageError, ValueError, UnusableImage):
        return 0.0


def memory_mib(load: Load, options: StageOptions) -> float:
    """Peak memory of a scene's processes together."""
    config = options.options
    needs = [450 + 13 * load.megapixels]
    if config.cameras.source == "keypoints":
        needs.append(_RIG_MIB)
    if options.until != PHOTOS:
        needs.append(600 + 1600 * _megapixels(config.matches.long_side, load))
    if options.until not in _BEFORE_DEPTH:
        # The mesh is fused in a process of its own while this one still holds what splatting took.
        views, mesh = load.views(options), _megapixels(config.mesh.long_side, load)
        splatting = 650 + 167 * views * _megapixels(config.splat.long_side, load)
        needs.append(splatting + 600 + (600 + 27 * views) * mesh)
    return _MARGIN * max(needs)


def disk_mib(load: Load, options: StageOptions) -> float:
    """Size of a scene's results."""
    config, views = options.options, load.views(options)
    size = 5 + 2 * views * _megapixels(config.photos.long_side, load)
    if options.until not in _BEFORE_DEPTH:
        size += 27 * views * _megapixels(config.depth.long_side, load)
    if options.until not in (*_BEFORE_DEPTH, DEPTH.name, LAYOUT.name):
        size += 28 * views * _megapixels(config.renders.long_side, load)
        size += 0.12 * config.splat.budget / 1000 + 110 * _megapixels(config.mesh.long_side, load)
    return _MARGIN * size


def _megapixels(long_side: int, load: Load) -> float:
    """Of an image shrunk to a long side; none is enlarged."""
    shrunk = _ASPECT * long_side**2 / 1e6
    return min(shrunk, load.megapixels) if load.megapixels else shrunk
