"""Depth maps as pictures that other programs measure in: 16-bit PNG and EXR."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32

from fewview.recon.errors import InputError

_STEPS = 1000
"""Of a PNG in a metre: millimetres, as ScanNet and most depth cameras write."""


def write_depth_png(path: Path, depth: Float32[np.ndarray, "H W"]) -> None:
    """Write z-depth in thousandths of its unit; 0 where it is unknown, or farther than 65.535."""
    steps = np.rint(np.nan_to_num(depth, nan=0.0) * _STEPS)
    done, data = cv2.imencode(".png", np.where(steps <= 65535, steps, 0).astype(np.uint16))
    if not done:
        raise AssertionError(f"OpenCV could not encode a {depth.shape} image")
    path.write_bytes(data.tobytes())


def write_depth_exr(path: Path, depth: Float32[np.ndarray, "H W"]) -> None:
    """Write z-depth as the channel Z, float32, in its unit; NaN where it is unknown.

    Raises:
        InputError: OpenEXR is not installed.
    """
    try:
        import OpenEXR
    except ImportError:
        raise InputError(
            "EXR is written by OpenEXR, which is not installed.", "Run: pip install 'fewview[exr]'"
        ) from None
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": np.ascontiguousarray(depth, np.float32)}).write(str(path))
