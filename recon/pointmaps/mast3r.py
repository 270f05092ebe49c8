"""MASt3R (Leroy, Cabon and Revaud, ECCV 2024): pairs of photos, both ways round, through the package `mast3r`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from fewview.recon.photos import Photo
from fewview.recon.pointmaps.window import window

_LONG_SIDE, _PATCH = 512, 16


def predict(
    weights: str, photos: Sequence[Photo], folder: Path, pairs: Sequence[tuple[int, int]]
) -> Iterator[Mapping[str, np.ndarray]]:
    """One dictionary for each ordered pair, so that no more than one is in memory."""
    import mast3r.utils.path_to_dust3r  # noqa: F401 - puts the package dust3r, which it holds, on the path
    from dust3r.inference import inference
    from mast3r.model import AsymmetricMASt3R

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AsymmetricMASt3R.from_pretrained(weights).to(device)
    for i, j in [way for pair in pairs for way in (pair, pair[::-1])]:
        views = _view(photos[i], folder, 0), _view(photos[j], folder, 1)
        found = inference([views], model, device, batch_size=1, verbose=False)
        yield {
            "photos": np.array([photos[i].name, photos[j].name]),
            "pairs": np.array([[0, 1]]),
            "points_first": found["pred1"]["pts3d"].float().cpu().numpy(),
            "confidence_first": found["pred1"]["conf"].float().cpu().numpy(),
            "points_second": found["pred2"]["pts3d_in_other_view"].float().cpu().numpy(),
            "confidence_second": found["pred2"]["conf"].float().cpu().numpy(),
        }


def _view(photo: Photo, folder: Path, index: int) -> dict[str, object]:
    """As dust3r.utils.image.load_images makes them: in [-1, 1], sides of whole patches, never square."""
    long, short = max(photo.width, photo.height), min(photo.width, photo.height)
    side = min(int(_LONG_SIDE * short / long) // _PATCH * _PATCH, _LONG_SIDE * 3 // 4 if long == short else _LONG_SIDE)
    size = (_LONG_SIDE, side) if photo.width >= photo.height else (side, _LONG_SIDE)
    image = window(photo.load_image8(folder), size).astype(np.float32) / 127.5 - 1
    return {
        "img": torch.from_numpy(image.transpose(2, 0, 1))[None],
        "true_shape": np.array([size[::-1]], np.int32),
        "idx": index,
        "instance": str(index),
    }
