"""The `depth/` artifact (docs/artifacts.md): a depth map a view, and initial points."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int16, UInt8

from fewview.recon.errors import InputError
from fewview.recon.io.documents import read_npz

UNKNOWN, VERIFIED, COMPLETED, PLANAR = 0, 1, 2, 3
"""Sources of depth: none; seen by stereo in two photos; guessed from its surroundings, smoothly or on a plane."""


@dataclass(frozen=True)
class DepthMap:
    """What one view is known to show; the layout of `<key>.npz` (docs/artifacts.md)."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth, scene units, NaN = unknown."""
    confidence: Float16[np.ndarray, "H W"]
    normal: Float16[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera; NaN = unknown."""
    source: UInt8[np.ndarray, "H W"]
    """One of the above."""

    @classmethod
    def unknown(cls, height: int, width: int) -> DepthMap:
        return cls(
            np.full((height, width), np.nan, np.float32),
            np.zeros((height, width), np.float16),
            np.full((height, width, 3), np.nan, np.float16),
            np.zeros((height, width), np.uint8),
        )

    @classmethod
    def load(cls, path: Path) -> DepthMap:
        """What `save` wrote.

        Raises:
            InputError: there is no such file, or it was altered.
        """
        return cls(**_arrays(path, cls))

    def save(self, path: Path) -> None:
        np.savez(path, depth=self.depth, confidence=self.confidence, normal=self.normal, source=self.source)


@dataclass(frozen=True)
class Points:
    """Initial surface points in the world; the layout of `points.npz`."""

    xyz: Float32[np.ndarray, "N 3"]
    rgb: UInt8[np.ndarray, "N 3"]
    normal: Float16[np.ndarray, "N 3"]
    radius: Float32[np.ndarray, " N"]
    confidence: Float16[np.ndarray, " N"]
    verified: Bool[np.ndarray, " N"]
    view: Int16[np.ndarray, " N"]

    @classmethod
    def load(cls, folder: Path) -> Points:
        """The points in an artifact.

        Raises:
            InputError: as `DepthMap.load`.
        """
        return cls(**_arrays(folder / "points.npz", cls))

    def save(self, folder: Path) -> None:
        """Write `points.npz` and `points.ply`."""
        np.savez(folder / "points.npz", **self.__dict__)
        self.save_ply(folder / "points.ply")

    def save_ply(self, path: Path) -> None:
        """Write places, normals and colours, for viewers."""
        names = ("x", "y", "z", "nx", "ny", "nz")
        layout = np.dtype([(n, "<f4") for n in names] + [(n, "u1") for n in ("red", "green", "blue")])
        vertices = np.zeros(len(self.xyz), layout)
        for k in range(3):
            vertices[names[k]] = self.xyz[:, k]
            vertices[names[3 + k]] = self.normal[:, k]
            vertices[("red", "green", "blue")[k]] = self.rgb[:, k]
        properties = [f"property float {n}" for n in names]
        properties += [f"property uchar {n}" for n in ("red", "green", "blue")]
        header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}", *properties]
        with path.open("wb") as file:
            file.write(("\n".join([*header, "end_header"]) + "\n").encode())
            file.write(vertices.tobytes())


def _arrays(path: Path, kind: type[DepthMap] | type[Points]) -> dict[str, np.ndarray]:
    """What the fields of `kind` need."""
    again = "It was altered: delete its folder and run again."
    found = read_npz(path, again)
    if missing := [field.name for field in fields(kind) if field.name not in found]:
        raise InputError(f"{path} holds no {missing[0]}.", again)
    return {field.name: found[field.name] for field in fields(kind)}
