"""The networks that can make pointmaps: optional packages, with weights that they fetch themselves."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from recon.errors import InputError


@dataclass(frozen=True)
class Network:
    """One of them; the module of this package with its name holds its `predict`."""

    name: str
    """Also that of the package."""
    title: str
    weights: str
    """On Hugging Face."""
    licence: str
    install: str

    def require(self) -> None:
        """Raises InputError where the package is not installed."""
        if importlib.util.find_spec(self.name) is None:
            raise InputError(
                f"--cameras {self.name} needs the package `{self.name}`, which is not installed.",
                f"{self.install}, or use --cameras matching.",
            )

    def notice(self) -> str:
        """What the user must know before anything is downloaded."""
        return (
            f"{self.title}: its package fetches the weights {self.weights} where they are not cached. {self.licence}."
        )


NETWORKS = {
    "mapanything": Network(
        "mapanything",
        "MapAnything",
        "facebook/map-anything-apache",
        "Code and these weights are under Apache-2.0",
        "Run pip install git+https://github.com/facebookresearch/map-anything",
    ),
    "mast3r": Network(
        "mast3r",
        "MASt3R",
        "naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
        "Code and weights are under CC BY-NC-SA 4.0: not for commercial use",
        "Run git clone --recursive https://github.com/naver/mast3r, install its requirements, add it to PYTHONPATH",
    ),
}


def window(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """The largest window about the centre that has the shape of `size` (width, height), at that size."""
    height, width = image.shape[:2]
    scale = min(width / size[0], height / size[1])
    x, y = (width - scale * size[0]) / 2, (height - scale * size[1]) / 2
    box = (x, y, x + scale * size[0], y + scale * size[1])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box))
