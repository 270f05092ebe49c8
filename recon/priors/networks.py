"""Runs the networks that can make pointmaps (`recon.networks`)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from recon.networks import NETWORKS
from recon.photos import Photo


def predict(
    name: str, photos: Sequence[Photo], folder: Path, pairs: Sequence[tuple[int, int]]
) -> Iterator[Mapping[str, np.ndarray]]:
    """Pointmaps as the files of docs/pointmaps.md hold them.

    Args:
        folder: of the `photos` artifact.
        pairs: of photos that are worth looking at together; a network that takes all at once leaves them alone.

    Raises:
        InputError: the package is not installed.
    """
    NETWORKS[name].require()
    adapter: Any = importlib.import_module(f"recon.priors.{name}")
    return adapter.predict(NETWORKS[name].weights, photos, folder, pairs)


def window(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """The largest window about the centre that has the shape of `size` (width, height), at that size."""
    height, width = image.shape[:2]
    scale = min(width / size[0], height / size[1])
    x, y = (width - scale * size[0]) / 2, (height - scale * size[1]) / 2
    box = (x, y, x + scale * size[0], y + scale * size[1])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box))
