"""SOG, PlayCanvas's format for the web (version 2): pictures without loss (WebP) in a ZIP, a sixth of the PLY.

`meta.json` names the pictures. A pixel each Gaussian: positions (16 bits of sign(x) ln(1 + |x|) between bounds, in two
pictures), log scales and constant colours (a byte each, an index into 256 values), opacity (a byte), quaternion (a byte
each of the three smaller of wxyz; which is the largest). Higher harmonics: an index into a palette of at most 65,536
sets, whose numbers are indices into 256 values again. World frame and scene units as in the 3DGS PLY.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Integer, UInt8
from PIL import Image
from threadpoolctl import threadpool_limits

from fewview.splatting.export.order import spatial_order
from fewview.splatting.gaussians import Gaussians

_VALUES = 256
_PALETTE_ROW = 64
"""Sets of harmonics in a row of the picture that holds them."""
_LARGEST_PALETTE = 65_536
_COARSE = 256
_ROUNDS = 8
"""Of Lloyd's algorithm; later ones move the means by less than a byte says."""
_AT_ONCE = 16_384
"""Values whose distances to all means stand in memory, 16 MB for 256 means."""
_STAMP = (1980, 1, 1, 0, 0, 0)


def write_sog(path: Path, gaussians: Gaussians, extras: Mapping[str, str] | None = None) -> None:
    """Write `gaussians`, in an order of their own; the same Gaussians give the same bytes.

    Args:
        extras: what else `meta.json` says under `asset`.
    """
    gaussians = gaussians.detach().to("cpu").normalized()
    order = spatial_order(gaussians.means.numpy())
    kept = gaussians.map(lambda tensor: tensor[torch.from_numpy(order)])
    logs = kept.means.double().numpy()
    logs = np.sign(logs) * np.log1p(np.abs(logs))
    low, high = logs.min(0, initial=np.inf), logs.max(0, initial=-np.inf)
    steps = np.rint((logs - low) / np.maximum(high - low, 1e-12) * 65535).astype(np.uint16)
    scale_values, scales = _codebook(kept.log_scales.numpy())
    colour_values, colours = _codebook(kept.sh[:, 0].numpy())
    opacity = np.rint(torch.sigmoid(kept.logit_opacities).numpy() * 255).astype(np.uint8)
    pictures = {
        "means_l.webp": _picture(steps & 255),
        "means_u.webp": _picture(steps >> 8),
        "scales.webp": _picture(scales),
        "quats.webp": _picture(_packed_quaternions(kept.quats.numpy())),
        "sh0.webp": _picture(np.concatenate([colours, opacity[:, None]], 1)),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "fewview", **(extras or {})},
        "count": kept.count,
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_values.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": colour_values.tolist(), "files": ["sh0.webp"]},
    }
    if kept.degree and kept.count:
        with threadpool_limits(1):  # the products are small
            sets, labels = _palette(kept.sh[:, 1:].reshape(kept.count, -1).numpy())
        values, indices = _codebook(sets)
        rows = -(-len(sets) // _PALETTE_ROW)
        shown = np.zeros((rows * _PALETTE_ROW, indices.shape[1]), np.uint8)
        shown[: len(sets)] = indices
        files = ["shN_centroids.webp", "shN_labels.webp"]
        pictures[files[0]] = _rgba(shown.reshape(rows, -1, 3))
        pictures[files[1]] = _picture(np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], 1))
        meta["shN"] = {"count": len(sets), "bands": kept.degree, "codebook": values.tolist(), "files": files}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("meta.json", _STAMP), json.dumps(meta, sort_keys=True))
        for name, picture in pictures.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), _webp(picture))


def _codebook(values: Float[np.ndarray, "N K"]) -> tuple[Float[np.ndarray, " 256"], UInt8[np.ndarray, "N K"]]:
    """256 ascending values that are near all of `values`, and which of them stands for each (Lloyd 1982)."""
    line = np.sort(values.reshape(-1).astype(np.float64))
    book = np.quantile(line, (np.arange(_VALUES) + 0.5) / _VALUES) if len(line) else np.zeros(_VALUES)
    sums = np.concatenate([[0.0], np.cumsum(line)])
    for _ in range(4 * _ROUNDS):
        ends = np.concatenate([[0], np.searchsorted(line, (book[1:] + book[:-1]) / 2), [len(line)]])
        counts = np.diff(ends)
        book = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), book)
        book.sort()
    return book, np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def _palette(values: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "P D"], Int[np.ndarray, " N"]]:
    """Sets that are near all of `values`, and which of them stands for each: k-means in two steps, as k-means with
    tens of thousands of means would take minutes."""
    # The largest power of two, as the format's own writer takes it.
    size = min(_LARGEST_PALETTE, 2 ** (len(values).bit_length() - 1))
    _, coarse = _k_means(values, min(_COARSE, size))
    sets, labels, used = [], np.zeros(len(values), np.int64), 0
    for group in np.unique(coarse):
        members = np.flatnonzero(coarse == group)
        means, fine = _k_means(values[members], max(1, int(size * len(members) / len(values))))
        labels[members] = used + fine
        used += len(means)
        sets.append(means)
    return np.concatenate(sets), labels


def _k_means(
    values: Float32[np.ndarray, "N D"], count: int
) -> tuple[Float32[np.ndarray, "K D"], Int[np.ndarray, " N"]]:
    """Lloyd's algorithm from every (N / K)th value in the order of their sums."""
    starts = np.linspace(0, len(values) - 1, count).astype(int)
    means = values[np.argsort(values.sum(1), kind="stable")[starts]]
    for _ in range(_ROUNDS):
        nearest = _nearest(values, means)
        order = np.argsort(nearest, kind="stable")
        members = np.bincount(nearest, minlength=count)
        used = members > 0
        firsts = (np.cumsum(members) - members)[used]
        means[used] = np.add.reduceat(values[order], firsts) / members[used, None]
    return means, _nearest(values, means)


def _nearest(values: Float32[np.ndarray, "N D"], means: Float32[np.ndarray, "K D"]) -> Int[np.ndarray, " N"]:
    half = np.square(means).sum(1) / 2
    parts = range(0, len(values), _AT_ONCE)
    return np.concatenate([(half - values[i : i + _AT_ONCE] @ means.T).argmin(1) for i in parts])


def _packed_quaternions(quats: Float[np.ndarray, "N 4"]) -> UInt8[np.ndarray, "N 4"]:
    largest = np.abs(quats).argmax(1)
    signed = quats * np.where(quats[np.arange(len(quats)), largest] < 0, -1, 1)[:, None]
    others = signed[np.arange(4) != largest[:, None]].reshape(-1, 3)
    stored = np.rint((others * np.sqrt(0.5) + 0.5) * 255)
    return np.concatenate([stored, 252 + largest[:, None]], 1).astype(np.uint8)


def _picture(values: Integer[np.ndarray, "N C"]) -> UInt8[np.ndarray, "h w 4"]:
    """A pixel each row, row by row; sides are multiples of 4, as the format's own writer makes them."""
    width = max(4, math.ceil(math.sqrt(len(values)) / 4) * 4)
    height = max(4, math.ceil(len(values) / width / 4) * 4)
    flat = np.zeros((width * height, values.shape[1]), np.uint8)
    flat[: len(values)] = values
    return _rgba(flat.reshape(height, width, -1))


def _rgba(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 4"]:
    if image.shape[2] == 4:
        return image
    return np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], 2)


def _webp(image: UInt8[np.ndarray, "h w 4"]) -> bytes:
    file = io.BytesIO()
    # exact: a transparent pixel keeps its colour.
    Image.fromarray(image).save(file, "WEBP", lossless=True, exact=True, quality=100, method=4)
    return file.getvalue()
