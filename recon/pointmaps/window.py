"""What a network of one size sees of a photo."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def window(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """The largest window about the centre that has the shape of `size` (width, height), at that size."""
    height, width = image.shape[:2]
    scale = min(width / size[0], height / size[1])
    x, y = (width - scale * size[0]) / 2, (height - scale * size[1]) / 2
    box = (x, y, x + scale * size[0], y + scale * size[1])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box))
