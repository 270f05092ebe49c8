"""`fewview export`: every format of one run lies in the axes that were asked for."""

from __future__ import annotations

from pathlib import Path

import laspy
import numpy as np
import pye57
import pytest
import torch
import trimesh
from pxr import Usd, UsdGeom, UsdVol

from fewview.apps.cli import main
from fewview.apps.commands.export import listing
from fewview.apps.conversion import axes_of
from fewview.layout.document import read_layout
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.transforms import read_transforms
from fewview.splatting.export import read_ply, read_spz
from fewview.splatting.rasterize import rasterize

FORMATS = (
    *("splat", "compressed", "spz", "splat-glb", "splat-usd", "splat32", "mesh-glb", "mesh-ply", "mesh-usdz"),
    *("room-usdz", "points", "las", "e57", "colmap", "transforms"),
)


def test_list_says_what_each_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--list"]) == 0
    assert capsys.readouterr().out == listing() + "\n"
    assert "sog         splat.sog             a sixth or less; web pages with PlayCanvas or SuperSplat\n" in listing()


def test_a_floor_that_nobody_found_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No floor is known in .* Leave out --floor-at-zero"):
        axes_of(tmp_path, z_up=True, floor_at_zero=True)
    # Without it, up is opposite to the world's y.
    np.testing.assert_array_equal(axes_of(tmp_path, True, False).T_file_world[:3, :3] @ [0, -1, 0], [0, 0, 1])


def test_all_files_agree_in_the_axes_of_cad(room: tuple[Path, Path], tmp_path: Path) -> None:
    run, to = room[1], tmp_path / "cad"
    command = ["export", str(run), "--to", str(to), "--format", *FORMATS, "--up", "z", "--floor-at-zero"]
    assert main(command) == 0
    layout = read_layout(run / "layout" / "layout.json")
    assert layout is not None

    def z_up(y_up: np.ndarray) -> np.ndarray:
        """As Blender turns what it takes from glTF."""
        return np.stack([y_up[:, 0], -y_up[:, 2], y_up[:, 1]], 1)

    shell = usd_mesh(to / "room.usdz")
    np.testing.assert_allclose([shell[:, 2].min(), shell[:, 2].max()], [0, layout.height], atol=1e-4)
    mesh = trimesh.load_mesh(to / "mesh.ply", process=False).vertices
    np.testing.assert_allclose(usd_mesh(to / "mesh.usdz"), mesh, atol=1e-4)
    scene = trimesh.load_scene(to / "mesh.glb", process=False)
    np.testing.assert_allclose(z_up(scene.to_geometry().vertices), mesh, atol=1e-4)

    points = trimesh.load(to / "points.ply").vertices
    np.testing.assert_allclose(laspy.read(to / "points.las").xyz, points, atol=1e-4)
    scan = pye57.E57(str(to / "points.e57")).read_scan(0, ignore_missing_fields=True)
    np.testing.assert_allclose(np.stack([scan[f"cartesian{k}"] for k in "XYZ"], 1), points, atol=1e-4)

    splats = read_ply(to / "splat.ply")
    means = splats.means.numpy()
    stage = Usd.Stage.Open(str(to / "splat.usdc"))
    field = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/scene/splats"))
    np.testing.assert_array_equal(np.array(field.GetPositionsAttr().Get()), means)
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    np.testing.assert_allclose(z_up(read_spz(to / "splat.spz").means.numpy() * [1, -1, -1]), means, atol=1e-3)
    stored = trimesh.load_scene(to / "splat.glb", process=False).to_geometry().vertices
    np.testing.assert_allclose(z_up(stored), means, atol=1e-4)

    # The splats look the same through the cameras that came with them.
    before = read_cameras(run / "splat").views
    after = read_transforms(to / "transforms.json")
    for old, new in zip(before, after, strict=True):
        assert 0 < new.center[2] < layout.height
        camera = old.camera.pinhole().fitted(96)
        pictures = [
            rasterize(gaussians, torch.from_numpy(view.T_camera_world).float(), camera).image
            for gaussians, view in ((read_ply(run / "splat" / "splat.ply"), old), (splats, new))
        ]
        assert (pictures[0] - pictures[1]).abs().max() < 0.02


def usd_mesh(path: Path) -> np.ndarray:
    stage = Usd.Stage.Open(str(path))
    return np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/scene/mesh")).GetPointsAttr().Get())
