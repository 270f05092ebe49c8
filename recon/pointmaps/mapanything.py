"""MapAnything (Keetha et al., 2025): all photos at once, metric, through the package `mapanything`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from fewview.recon.photos import Photo
from fewview.recon.pointmaps.window import window

_LONG_SIDE, _PATCH = 518, 14
_MEAN, _DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
"""Of the normalisation that the package calls `dinov2`."""


def predict(
    weights: str, photos: Sequence[Photo], folder: Path, _: Sequence[tuple[int, int]]
) -> Iterator[Mapping[str, np.ndarray]]:
    """One dictionary for all photos."""
    from mapanything.models import MapAnything

    size = common_size(photos)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = MapAnything.from_pretrained(weights).to(device)
    views = []
    for photo in photos:
        image = window(photo.load_image8(folder), size).astype(np.float32) / 255
        normal = ((image - _MEAN) / _DEVIATION).transpose(2, 0, 1)
        views.append({"img": torch.from_numpy(normal)[None].to(device), "data_norm_type": ["dinov2"]})
    found = model.infer(views, memory_efficient_inference=True, use_amp=True, apply_mask=True, mask_edges=True)
    confidence = np.stack([_array(one["conf"]) for one in found])
    known = np.stack([_array(one["mask"]).astype(bool).reshape(confidence.shape[1:]) for one in found])
    yield {
        "photos": np.array([photo.name for photo in photos]),
        "points": np.stack([_array(one["pts3d"]) for one in found]),
        "poses": np.stack([_array(one["camera_poses"]) for one in found]),
        # The network's confidences have no fixed scale.
        "confidence": np.where(known, 1 + confidence / max(float(np.median(confidence)), 1e-6), 0.0),
        "units": np.array("metre"),
    }


def common_size(photos: Sequence[Photo]) -> tuple[int, int]:
    """Width and height for all photos: whole patches, their mean shape; square where some are upright, some not."""
    turns = {photo.width > photo.height for photo in photos if photo.width != photo.height}
    shape = 1.0 if len(turns) > 1 else math.exp(np.mean([math.log(photo.width / photo.height) for photo in photos]))
    short = max(_PATCH, round(_LONG_SIDE * min(shape, 1 / shape) / _PATCH) * _PATCH)
    return (_LONG_SIDE, short) if shape >= 1 else (short, _LONG_SIDE)


def _array(tensor: torch.Tensor) -> np.ndarray:
    """The one view of a batch."""
    return tensor[0].detach().float().cpu().numpy()
