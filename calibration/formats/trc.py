"""TRC, OpenSim's table of marker positions: one person, y up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from fewview.calibration.formats.motion import MARKERS
from fewview.recon.geometry.pose import Y_UP


def write_trc(path: Path, xyz: Float[np.ndarray, "T J 3"], fps: float, start_s: float, units: str) -> None:
    """Write one person's joints; unknown positions are left empty, as OpenSim expects.

    Args:
        xyz: in the world of cameras.json; NaN where unknown.
        units: `m`, or `unknown`.
    """
    frames, joints, _ = xyz.shape
    rate, turned = repr(float(fps)), (xyz @ Y_UP.T).reshape(frames, -1)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{joints}\t{units}\t{rate}\t1\t{frames}",
        "\t".join(["Frame#", "Time", *(f"{marker}\t\t" for marker in MARKERS)]),
        "\t".join(["", "", *(f"{axis}{i + 1}" for i in range(joints) for axis in "XYZ")]),
        "",
    ]
    for frame, row in enumerate(turned.tolist()):
        cells = ("" if value != value else repr(value) for value in row)
        lines.append("\t".join([str(frame + 1), repr(start_s + frame / fps), *cells]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
