"""Writes a coloured triangle mesh as binary glTF 2.0 (one file, no textures)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UINT16, _UINT32, _FLOAT32 = 5123, 5125, 5126


def write_glb(
    path: Path,
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    colors: UInt8[np.ndarray, "V 3"],
    T_gltf_mesh: Float[np.ndarray, "4 4"],
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write a mesh that viewers show in exactly its colours (unlit, both sides).

    Args:
        path: ends in `.glb`.
        vertices: in the mesh's own frame and units.
        faces: indices into `vertices`.
        colors: sRGB. The format wants linear light, so they are stored as linear 16-bit values.
        T_gltf_mesh: mesh to glTF axes (y up, metres), stored as the node's matrix.
        extras: what the scene says of itself, JSON.
    """
    positions = np.ascontiguousarray(vertices, "<f4")
    linear = np.full((len(colors), 4), 65535, "<u2")
    linear[:, :3] = np.round(srgb_to_linear(colors) * 65535)
    arrays = [
        (positions, _FLOAT32, "VEC3", _ARRAY_BUFFER),
        (linear, _UINT16, "VEC4", _ARRAY_BUFFER),
        (np.ascontiguousarray(faces, "<u4").reshape(-1), _UINT32, "SCALAR", _ELEMENT_ARRAY_BUFFER),
    ]
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    payload = b""
    for index, (array, component, kind, target) in enumerate(arrays):
        data = array.tobytes()  # Every element size is a multiple of 4, so alignment needs no padding.
        views.append({"buffer": 0, "byteOffset": len(payload), "byteLength": len(data), "target": target})
        accessors.append({"bufferView": index, "componentType": component, "count": len(array), "type": kind})
        payload += data
    accessors[0] |= {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()}
    accessors[1]["normalized"] = True
    document = {
        "asset": {"version": "2.0", "generator": "fewview"},
        "scene": 0,
        "scenes": [{"nodes": [0], **({"extras": dict(extras)} if extras else {})}],
        "nodes": [{"name": "scene", "mesh": 0, "matrix": np.asarray(T_gltf_mesh, float).T.reshape(-1).tolist()}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "material": 0, "mode": 4}]}
        ],
        "materials": [
            {
                "doubleSided": True,
                # For viewers that do not know the extension: matt, so that light does not wash the colours out.
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "extensionsUsed": ["KHR_materials_unlit"],
        "buffers": [{"byteLength": len(payload)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    path.write_bytes(assembled(document, struct.pack("<I4s", len(payload), b"BIN\0") + payload))


def with_matrix(data: bytes, T_gltf_mesh: Float[np.ndarray, "4 4"]) -> bytes:
    """What `write_glb` wrote, under another matrix."""
    end = 20 + int.from_bytes(data[12:16], "little")
    document = json.loads(data[20:end])
    document["nodes"][0]["matrix"] = np.asarray(T_gltf_mesh, float).T.reshape(-1).tolist()
    return assembled(document, data[end:])


class GlbMesh(NamedTuple):
    """What `write_glb` wrote."""

    vertices: Float32[np.ndarray, "V 3"]
    """The mesh's own frame."""
    faces: Int[np.ndarray, "F 3"]
    light: Float[np.ndarray, "V 3"]
    """Colours as linear light in [0, 1]."""


def read_glb(path: Path) -> GlbMesh:
    """The mesh in a file of `write_glb`, and of no other program.

    Raises:
        InputError: it is none of ours.
    """
    data = path.read_bytes()
    try:
        end = 20 + int.from_bytes(data[12:16], "little")
        views = json.loads(data[20:end])["bufferViews"]
        parts = [data[end + 8 + view["byteOffset"] :][: view["byteLength"]] for view in views]
        vertices, colours, faces = (
            np.frombuffer(part, kind).reshape(-1, width)
            for part, kind, width in zip(parts, ("<f4", "<u2", "<u4"), (3, 4, 3), strict=True)
        )
        if len(colours) != len(vertices) or faces.max(initial=0) >= max(len(vertices), 1):
            raise ValueError("its parts do not fit together")
    except MALFORMED as error:
        raise InputError(
            f"{path} is no mesh of fewview: {error!r}.", "Give the `fewview run` command again."
        ) from error
    return GlbMesh(vertices, faces.astype(np.int64), colours[:, :3] / 65535)


def one_sided(data: bytes, inside: bool) -> bytes:
    """What `write_glb` wrote, as viewers show it that leave out the backs of its triangles.

    Args:
        inside: leave out their fronts instead: of a closed surface that faces outwards one then sees the inside.
    """
    end = 20 + int.from_bytes(data[12:16], "little")
    document = json.loads(data[20:end])
    for material in document["materials"]:
        material["doubleSided"] = False
    if not inside:
        return assembled(document, data[end:])
    faces = np.frombuffer(data[end + 8 + document["bufferViews"][2]["byteOffset"] :], "<u4").reshape(-1, 3)
    return assembled(document, data[end : len(data) - faces.nbytes] + faces[:, ::-1].tobytes())


def assembled(document: dict[str, Any], binary: bytes) -> bytes:
    """A GLB of its JSON and its binary chunk, header included."""
    header = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 4)
    start = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(header) + len(binary))
    return start + struct.pack("<I4s", len(header), b"JSON") + header + binary


def srgb_to_linear(colors: UInt8[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
    """Light in [0, 1] of 8-bit sRGB (IEC 61966-2-1)."""
    value = colors.astype(np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
