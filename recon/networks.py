"""The networks that can make pointmaps: optional packages, with weights that they fetch themselves."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Network:
    """One of them; `fewview.recon.pointmaps.<name>` runs it."""

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
