"""Point clouds as E57 (ASTM E2807), which laser scanners' programs read, through pye57 (extra `survey`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fewview.recon.errors import InputError


def write_e57(path: Path, xyz: Float[np.ndarray, "N 3"], rgb: UInt8[np.ndarray, "N 3"], units: str) -> None:
    """Write points with colours as one scan.

    Args:
        xyz: z up.
        units: `metre`, as the format asks, or `unknown`, which the scan's name then says.

    Raises:
        InputError: pye57 is not installed.
    """
    try:
        import pye57
    except ImportError:
        raise InputError(
            "E57 is written by pye57, which is not installed.", "Run: pip install 'fewview[survey]'"
        ) from None
    data = {f"cartesian{axis}": column for axis, column in zip("XYZ", xyz.astype(np.float64).T, strict=True)}
    data |= {f"color{name}": column for name, column in zip(("Red", "Green", "Blue"), rgb.T, strict=True)}
    file = pye57.E57(str(path), mode="w")
    try:
        file.write_scan_raw(data, name="fewview" if units == "metre" else "fewview, scale unknown: not in metres")
    finally:
        file.close()
