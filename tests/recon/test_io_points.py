"""Point clouds and meshes for survey, CAD and film, read by the libraries of these trades."""

from __future__ import annotations

import zipfile
from pathlib import Path

import laspy
import numpy as np
import pye57
import pytest
from pxr import Usd, UsdGeom, UsdShade

from fewview.recon.io.e57 import write_e57
from fewview.recon.io.glb import read_glb, write_glb
from fewview.recon.io.las import write_las
from fewview.recon.io.usd import write_mesh_usdz


@pytest.fixture
def cloud() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(0, 3, (500, 3)), generator.integers(0, 256, (500, 3), np.uint8)


def test_las_holds_places_colours_and_metres(tmp_path: Path, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    write_las(tmp_path / "a.las", xyz, rgb, "metre")
    read = laspy.read(tmp_path / "a.las")
    np.testing.assert_allclose(read.xyz, xyz, atol=1e-6)
    np.testing.assert_array_equal(np.stack([read.red, read.green, read.blue], 1), rgb.astype(int) * 257)
    (system,) = read.header.vlrs
    assert 'UNIT["metre",1]' in system.string
    assert read.header.global_encoding.wkt
    first = (tmp_path / "a.las").read_bytes()
    write_las(tmp_path / "a.las", xyz, rgb, "metre")
    assert (tmp_path / "a.las").read_bytes() == first
    write_las(tmp_path / "b.las", xyz, rgb, "unknown")
    assert not laspy.read(tmp_path / "b.las").header.vlrs


def test_e57_holds_places_and_colours(tmp_path: Path, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    for units, name in (("metre", "fewview"), ("unknown", "fewview, scale unknown: not in metres")):
        write_e57(tmp_path / f"{units}.e57", xyz, rgb, units)
        file = pye57.E57(str(tmp_path / f"{units}.e57"))
        assert file.scan_count == 1
        assert file.get_header(0)["name"].value() == name
        read = file.read_scan(0, colors=True, ignore_missing_fields=True)
        np.testing.assert_allclose(np.stack([read[f"cartesian{k}"] for k in "XYZ"], 1), xyz, atol=1e-5)
        np.testing.assert_array_equal(np.stack([read[f"color{k}"] for k in ("Red", "Green", "Blue")], 1), rgb)
        file.close()


def test_usdz_of_a_glb_is_whole(tmp_path: Path) -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces, colours = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), np.full((4, 3), 188, np.uint8)
    write_glb(tmp_path / "a.glb", vertices, faces, colours, np.eye(4))
    mesh = read_glb(tmp_path / "a.glb")
    write_mesh_usdz(tmp_path / "a.usdz", mesh.vertices, mesh.faces, mesh.light, "Z", "metre")
    assert zipfile.ZipFile(tmp_path / "a.usdz").namelist() == ["mesh.usdc"]
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert stage.GetMetadata("customLayerData")["units"] == "metre"
    read = UsdGeom.Mesh(stage.GetPrimAtPath("/scene/mesh"))
    np.testing.assert_array_equal(np.array(read.GetPointsAttr().Get()), vertices)
    np.testing.assert_array_equal(np.array(read.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), faces)
    light = np.array(read.GetDisplayColorPrimvar().Get())
    np.testing.assert_allclose(light, ((188 / 255 + 0.055) / 1.055) ** 2.4, atol=1e-4)
    assert UsdShade.MaterialBindingAPI(read.GetPrim()).ComputeBoundMaterial()[0]
