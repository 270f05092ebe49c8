"""Point clouds as LAS 1.4, for GIS and survey programs, through laspy (extra `survey`)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fewview.recon.errors import InputError

_STEPS = 2**24
"""Of a coordinate over the whole extent, about as many as float32 tells apart; LAS stores 32-bit integers."""
_CRS = (
    'LOCAL_CS["Scene from photos",LOCAL_DATUM["of the photos",0],UNIT["metre",1],'
    'AXIS["x",OTHER],AXIS["y",OTHER],AXIS["z",UP]]'
)


def write_las(path: Path, xyz: Float[np.ndarray, "N 3"], rgb: UInt8[np.ndarray, "N 3"], units: str) -> None:
    """Write points with colours.

    Args:
        xyz: z up.
        units: `metre`, which the file's coordinate system then says, or `unknown`: it has none.

    Raises:
        InputError: laspy is not installed.
    """
    try:
        import laspy
        from laspy.vlrs.known import WktCoordinateSystemVlr
    except ImportError:
        raise InputError(
            "LAS is written by laspy, which is not installed.", "Run: pip install 'fewview[survey]'"
        ) from None
    header = laspy.LasHeader(version="1.4", point_format=7)
    header.generating_software = "fewview"
    header.creation_date = date(1970, 1, 1)  # the same points are the same file
    low, span = xyz.min(0, initial=0), float(np.ptp(xyz)) if xyz.size else 1.0
    # A power of ten, so that programs that show them show few digits.
    header.scales = np.full(3, 10.0 ** np.floor(np.log10(max(span, 1e-6) / _STEPS)))
    header.offsets = np.floor(low)
    if units == "metre":
        header.vlrs.append(WktCoordinateSystemVlr(_CRS))
    header.global_encoding.wkt = True
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = xyz.astype(np.float64).T
    # Eight bits in sixteen: the format's readers expect the whole range.
    cloud.red, cloud.green, cloud.blue = rgb.T.astype(np.uint16) * 257
    cloud.write(str(path))
