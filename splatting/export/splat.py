"""The `.splat` layout that web viewers read (antimatter15/splat): 32 bytes a Gaussian, no view dependence.

Each Gaussian: centre (3 float32), standard deviations (3 float32), red, green, blue, opacity (uint8), quaternion wxyz
(uint8, 128 + 128 q). Little-endian, no header. World frame and scene units as in the PLY.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fewview.splatting.export.files import checked, logits_of_bytes, malformed, read_bytes
from fewview.splatting.gaussians import SH_C0, Gaussians

_LAYOUT = np.dtype([("center", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
_SMALLEST_SCALE = 1e-12


def write_splat(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians`; of their colours only the constant harmonic, clipped to [0, 1].

    The largest and most opaque come first: viewers draw while they load.
    """
    gaussians = gaussians.detach().to("cpu").normalized()
    opacity = torch.sigmoid(gaussians.logit_opacities)
    table = np.zeros(gaussians.count, _LAYOUT)
    table["center"] = gaussians.means
    table["scale"] = gaussians.log_scales.exp()
    table["rgba"][:, :3] = _byte(255 * (0.5 + SH_C0 * gaussians.sh[:, 0]))
    table["rgba"][:, 3] = _byte(255 * opacity)
    table["quat"] = _byte(128 + 128 * gaussians.quats)
    prominence = gaussians.log_scales.double().sum(1) + opacity.double().log()
    path.write_bytes(table[torch.argsort(-prominence, stable=True).numpy()].tobytes())


def read_splat(path: Path) -> Gaussians:
    """Read what `write_splat` or another program wrote.

    Returns:
        Float32 tensors on the CPU, degree 0, quaternions unit, in the order of the file.

    Raises:
        InputError: the file is missing, empty, no multiple of 32 bytes, or holds values that no Gaussian has.
    """
    data = read_bytes(path)
    if not data or len(data) % _LAYOUT.itemsize:
        raise malformed(path, ".splat", f"its size, {len(data)} bytes, is no multiple of {_LAYOUT.itemsize}")
    table = np.frombuffer(data, _LAYOUT)
    if (table["scale"] < 0).any():
        raise malformed(path, ".splat", "it holds negative sizes")
    quats = table["quat"].astype(np.float32) / 128 - 1
    quats[~quats.any(1), 0] = 1
    columns = {
        "means": table["center"],
        "quats": quats,
        "log_scales": np.log(np.maximum(table["scale"], _SMALLEST_SCALE)),
        "logit_opacities": logits_of_bytes(table["rgba"][:, 3]),
        "sh": ((table["rgba"][:, :3] / 255 - 0.5) / SH_C0)[:, None],
    }
    tensors = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in columns.items()}
    return checked(Gaussians(**tensors), path, ".splat")


def _byte(values: torch.Tensor) -> torch.Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
