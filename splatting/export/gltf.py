"""Splats as binary glTF 2.0 with KHR_gaussian_splatting, as the Khronos Group ratified it in 2026.

Points with attributes, float32: POSITION, ROTATION (quaternion xyzw), SCALE (standard deviations, linear), OPACITY (in
[0, 1]), one set of three for each harmonic; kernel `ellipse`, colours as 3DGS blends them (`srgb_rec709_display`). y is
up, and the harmonics are in the same axes. Programs without the extension show points in the constant colour.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewview.recon.io.glb import assembled, srgb_to_linear
from fewview.splatting.export.axes import half_turn
from fewview.splatting.gaussians import SH_C0, Gaussians

_NAME = "KHR_gaussian_splatting"
_ARRAY_BUFFER, _POINTS = 34962, 0
_COMPONENTS = {np.dtype("<f4"): 5126, np.dtype("<u2"): 5123}
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


def write_splat_glb(path: Path, gaussians: Gaussians, units: str) -> None:
    """Write `gaussians`, turned to y up.

    Args:
        path: ends in `.glb`.
        units: `metre` or `unknown`: glTF has metres, and says under `asset.extras` where that is not so.
    """
    gaussians = half_turn(gaussians.detach().to("cpu").normalized())
    opacity = torch.sigmoid(gaussians.logit_opacities).numpy()
    colours = np.rint(np.clip(0.5 + SH_C0 * gaussians.sh[:, 0].numpy(), 0, 1) * 255).astype(np.uint8)
    linear = np.concatenate([srgb_to_linear(colours), opacity[:, None]], 1)
    attributes = {
        "POSITION": gaussians.means.numpy(),
        "COLOR_0": np.rint(linear * 65535).astype("<u2"),
        f"{_NAME}:ROTATION": gaussians.quats.numpy()[:, [1, 2, 3, 0]],
        f"{_NAME}:SCALE": gaussians.log_scales.exp().numpy(),
        f"{_NAME}:OPACITY": opacity,
    }
    for degree in range(gaussians.degree + 1):
        for index in range(2 * degree + 1):
            attributes[f"{_NAME}:SH_DEGREE_{degree}_COEF_{index}"] = gaussians.sh[:, degree * degree + index].numpy()
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    parts: list[bytes] = []
    start = 0
    for name, values in attributes.items():
        stored = values if values.dtype == np.uint16 else np.ascontiguousarray(values, "<f4")
        data = stored.tobytes()  # element sizes are multiples of 4
        width = 1 if stored.ndim == 1 else stored.shape[1]
        accessor = {"bufferView": len(views), "count": len(stored), "type": _KINDS[width]}
        accessors.append(accessor | {"componentType": _COMPONENTS[stored.dtype]})
        if name == "POSITION":
            accessors[-1] |= {"min": stored.min(0).tolist(), "max": stored.max(0).tolist()}
        if name == "COLOR_0":
            accessors[-1]["normalized"] = True
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(data), "target": _ARRAY_BUFFER})
        parts.append(data)
        start += len(data)
    primitive = {
        "attributes": {name: index for index, name in enumerate(attributes)},
        "mode": _POINTS,
        "extensions": {_NAME: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    document = {
        "asset": {"version": "2.0", "generator": "fewview", "extras": {"units": units}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "splats", "mesh": 0}],
        "meshes": [{"name": "splats", "primitives": [primitive]}],
        "extensionsUsed": [_NAME],
        "buffers": [{"byteLength": start}],
        "bufferViews": views,
        "accessors": accessors,
    }
    path.write_bytes(assembled(document, struct.pack("<I4s", start, b"BIN\0") + b"".join(parts)))
