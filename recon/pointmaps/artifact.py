"""The `pointmaps/` artifact (docs/artifacts.md) beside its `cameras.json`: depth a photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class StoredPointmap:
    """`<key>.npz`."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth at a grid of pixels, NaN = unknown."""
    confidence: Float32[np.ndarray, "H W"]
    """1 = nothing is known."""
    x: Float32[np.ndarray, " W"]
    y: Float32[np.ndarray, " H"]
    """Pixels of the grid in the upright original."""

    def save(self, folder: Path, key: str) -> None:
        np.savez_compressed(folder / f"{key}.npz", **asdict(self))

    @classmethod
    def load(cls, folder: Path, key: str) -> StoredPointmap:
        with np.load(folder / f"{key}.npz") as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})
