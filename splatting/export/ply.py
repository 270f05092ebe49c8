"""The PLY layout of 3DGS (Kerbl et al. 2023): everything, unrounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fewview.recon.errors import InputError
from fewview.splatting.export.files import checked, malformed, read_bytes
from fewview.splatting.gaussians import Gaussians

_REST_COUNTS = (0, 9, 24, 45)
"""Number of `f_rest` properties for degrees 0 to 3."""
_END = b"end_header\n"


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians` as binary little-endian PLY, float32, one vertex each.

    Properties in this order: x y z, nx ny nz (zero), f_dc_0..2, f_rest_* (all coefficients of red, then green, then
    blue), opacity (logit), scale_0..2 (log), rot_0..3 (wxyz, unit). World frame, scene units.
    """
    gaussians = gaussians.detach().to("cpu").normalized()
    count = gaussians.count
    rest = gaussians.sh[:, 1:].transpose(1, 2).reshape(count, -1)
    columns = [
        gaussians.means,
        torch.zeros(count, 3),
        gaussians.sh[:, 0],
        rest,
        gaussians.logit_opacities[:, None],
        gaussians.log_scales,
        gaussians.quats,
    ]
    table = torch.cat(columns, 1).numpy().astype("<f4")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    lines += [f"property float {name}" for name in _properties(rest.shape[1])]
    lines += ["end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(lines).encode("ascii"))
        file.write(table.tobytes())


def read_ply(path: Path) -> Gaussians:
    """Read what `write_ply` or another 3DGS program wrote (binary, float32, properties in any order).

    Returns:
        Float32 tensors on the CPU, quaternions unit.

    Raises:
        InputError: the file is missing, cut short, not such a PLY, or holds values that are not finite.
    """
    data = read_bytes(path)
    end = data.find(_END)
    count, names = _header(path, data[: max(end, 0)].decode("ascii", "replace").splitlines())
    columns = {name: index for index, name in enumerate(names)}
    rest = sum(name.startswith("f_rest_") for name in columns)
    missing = [name for name in _properties(rest) if name not in columns and name not in ("nx", "ny", "nz")]
    if missing or rest not in _REST_COUNTS:
        raise _malformed(path, f"it lacks {', '.join(missing) or 'some of f_rest_*'}")
    start = end + len(_END)
    if len(data) - start < count * len(names) * 4:
        raise _malformed(path, "it is cut short")
    table = np.frombuffer(data, "<f4", count * len(names), start).reshape(count, len(names))

    def take(*names: str) -> torch.Tensor:
        picked = table[:, [columns[name] for name in names]]
        return torch.from_numpy(np.ascontiguousarray(picked, np.float32))

    sh = take("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if rest:
        higher = take(*(f"f_rest_{i}" for i in range(rest))).reshape(count, 3, rest // 3)
        sh = torch.cat([sh, higher.transpose(1, 2)], 1).contiguous()
    gaussians = Gaussians(
        means=take("x", "y", "z"),
        quats=take("rot_0", "rot_1", "rot_2", "rot_3"),
        log_scales=take("scale_0", "scale_1", "scale_2"),
        logit_opacities=take("opacity")[:, 0],
        sh=sh,
    )
    return checked(gaussians, path, "3DGS PLY")


def _header(path: Path, lines: list[str]) -> tuple[int, list[str]]:
    """The number of vertices and the names of their properties."""
    if lines[:2] != ["ply", "format binary_little_endian 1.0"]:
        raise _malformed(path, "it is not a binary little-endian PLY")
    words = [line.split() for line in lines[2:] if not line.startswith(("comment", "obj_info"))]
    match words:
        case [["element", "vertex", count], *properties] if count.isascii() and count.isdigit():
            if all(len(line) == 3 and line[:2] == ["property", "float"] for line in properties):
                return int(count), [line[2] for line in properties]
    raise _malformed(path, "it holds more than vertices with float properties")


def _properties(rest: int) -> list[str]:
    return [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
        *(f"f_rest_{i}" for i in range(rest)),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]


def _malformed(path: Path, why: str) -> InputError:
    return malformed(path, "3DGS PLY", why)
