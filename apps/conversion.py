"""What an export makes of a run's results: other formats, and other axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from fewview.recon.depth.artifact import Points
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import Y_UP, Z_UP, rigid, transform
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.glb import read_glb, with_matrix

if TYPE_CHECKING:
    from fewview.layout.model import RoomLayout
    from fewview.recon.io.usd import Up
    from fewview.splatting.gaussians import Gaussians

_T_Z_UP, _T_Y_UP = rigid(Z_UP, np.zeros(3)), rigid(Y_UP, np.zeros(3))


@dataclass(frozen=True)
class Axes:
    """Where the files of an export have their origin, and their up."""

    T_level_world: Float[np.ndarray, "4 4"]
    """From the run's world to the export's, both y down: along the room's walls, on its floor."""
    z_up: bool
    """In files that are free to choose; glTF and SPZ have y up whatever is asked, LAS and E57 have z up."""

    @property
    def T_file_world(self) -> Float[np.ndarray, "4 4"]:
        """For files that are free to choose."""
        return _T_Z_UP @ self.T_level_world if self.z_up else self.T_level_world

    @property
    def T_z_up_world(self) -> Float[np.ndarray, "4 4"]:
        return _T_Z_UP @ self.T_level_world

    @property
    def T_y_up_world(self) -> Float[np.ndarray, "4 4"]:
        return _T_Y_UP @ self.T_level_world

    @property
    def unchanged(self) -> bool:
        """Files are as the run has them."""
        return not self.z_up and bool((self.T_level_world == np.eye(4)).all())


AS_THEY_ARE = Axes(np.eye(4), z_up=False)


def axes_of(run: Path, z_up: bool, floor_at_zero: bool) -> Axes:
    """The axes that were asked for: with z up or on the floor, along the walls and upright as the room's plan says.
    Where there is no plan, up is where the cameras' mean up is.

    Raises:
        InputError: the floor is asked for, and none was found.
    """
    if not z_up and not floor_at_zero:
        return AS_THEY_ARE
    layout = layout_of(run)
    T = np.eye(4)
    if layout is None:
        if floor_at_zero:
            raise InputError(
                f"No floor is known in {run}: its stage `layout` found no room, or has not finished.",
                "Leave out --floor-at-zero; the origin is then the centre of the cameras.",
            )
        return Axes(T, z_up)
    # The room has z up: x stays, its z becomes -y and its y becomes z.
    T[:3, :3] = Z_UP.T @ layout.R_room_world
    if floor_at_zero:
        T[1, 3] = layout.floor.height
    return Axes(T, z_up)


def layout_of(run: Path) -> RoomLayout | None:
    """The room's plan of a run; None where there is no room, or the stage has not finished."""
    from fewview.layout.document import read_layout

    file = run / "layout" / "layout.json"
    return read_layout(file) if file.is_file() else None


def units_of(folder: Path) -> str:
    """`metre` or `unknown`: of the results that belong to the cameras in `folder`."""
    return read_cameras(folder).units


def convert_splats(source: Path, kind: str, place: Path, axes: Axes) -> None:
    """Write the splats of `source`, a `splat.ply` beside its `cameras.json`, as a format of `SPLATS`."""
    from fewview.splatting.export import read_ply
    from fewview.splatting.export.axes import moved

    gaussians = read_ply(source)

    def in_frame(T: Float[np.ndarray, "4 4"]) -> Gaussians:
        return gaussians if (np.eye(4) == T).all() else moved(gaussians, T)

    SPLATS[kind](place, in_frame, axes, units_of(source.parent))


_InFrame = Callable[[Float[np.ndarray, "4 4"]], "Gaussians"]


def _ply(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export import write_ply

    write_ply(place, in_frame(axes.T_file_world))


def _compressed(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export.compressed import write_compressed_ply

    write_compressed_ply(place, in_frame(axes.T_file_world), (f"units: {units}",))


def _sog(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export.sog import write_sog

    write_sog(place, in_frame(axes.T_file_world), {"units": units})


def _splat32(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export import write_splat

    write_splat(place, in_frame(axes.T_file_world))


def _spz(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export import write_spz

    write_spz(place, in_frame(axes.T_level_world))


def _glb(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export.gltf import write_splat_glb

    write_splat_glb(place, in_frame(axes.T_level_world), units)


def _usd(place: Path, in_frame: _InFrame, axes: Axes, units: str) -> None:
    from fewview.splatting.export.usd import write_splat_usd

    up, T = _usd_axes(axes)
    write_splat_usd(place, in_frame(T), up, units)


SPLATS: dict[str, Callable[[Path, _InFrame, Axes, str], None]] = {
    "splat": _ply,
    "compressed": _compressed,
    "spz": _spz,
    "sog": _sog,
    "splat-glb": _glb,
    "splat-usd": _usd,
    "splat32": _splat32,
}
"""Formats of splats."""


def convert_mesh(source: Path, place: Path, axes: Axes, units: str) -> None:
    """Write the mesh of `source`, a GLB or PLY of ours, in the format of `place` (GLB, PLY or USDZ)."""
    if place.suffix == ".glb":
        place.write_bytes(with_matrix(source.read_bytes(), axes.T_y_up_world))
    elif place.suffix == ".ply":
        import trimesh

        mesh = trimesh.load_mesh(source, process=False)
        mesh.apply_transform(axes.T_file_world)
        mesh.export(place)
    else:
        from fewview.recon.io.usd import write_mesh_usdz

        up, T = _usd_axes(axes)
        ours = read_glb(source)
        write_mesh_usdz(place, transform(T, ours.vertices), ours.faces, ours.light, up, units)


def convert_points(source: Path, place: Path, axes: Axes, units: str) -> None:
    """Write the points of the artifact `depth` that `source` lies in, in the format of `place` (PLY, LAS or E57)."""
    points = Points.load(source.parent)
    if place.suffix == ".ply":
        T = axes.T_file_world
        normal = (points.normal.astype(np.float64) @ T[:3, :3].T).astype(np.float16)
        replace(points, xyz=transform(T, points.xyz).astype(np.float32), normal=normal).save_ply(place)
        return
    xyz = transform(axes.T_z_up_world, points.xyz.astype(np.float64))
    if place.suffix == ".las":
        from fewview.recon.io.las import write_las

        write_las(place, xyz, points.rgb, units)
    else:
        from fewview.recon.io.e57 import write_e57

        write_e57(place, xyz, points.rgb, units)


def _usd_axes(axes: Axes) -> tuple[Up, Float[np.ndarray, "4 4"]]:
    return ("Z", axes.T_z_up_world) if axes.z_up else ("Y", axes.T_y_up_world)
