"""OpenUSD through Pixar's library (extra `usd`): stages that say their units and where up is, and coloured meshes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int

from fewview.recon.errors import InputError

if TYPE_CHECKING:
    from pxr import Usd

Up = Literal["Y", "Z"]


def new_stage(path: Path, up: Up, units: str) -> Usd.Stage:
    """A stage with one transform, `/scene`, its default.

    Args:
        units: `metre` or `unknown`. USD knows no unknown unit, so its metre stands there too, and `customLayerData`
            says `units`.

    Raises:
        InputError: usd-core is not installed.
    """
    try:
        from pxr import Usd, UsdGeom
    except ImportError:
        raise InputError(
            "USD is written by usd-core, which is not installed.", "Run: pip install 'fewview[usd]'"
        ) from None
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, up)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetMetadata("customLayerData", {"creator": "fewview", "units": units})
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/scene").GetPrim())
    return stage


def write_mesh_usdz(
    path: Path,
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    light: Float[np.ndarray, "V 3"],
    up: Up,
    units: str,
) -> None:
    """Write a mesh with the colours of its vertices, matt, both sides.

    Args:
        path: ends in `.usdz`.
        vertices: in the axes that `up` says.
        light: their colours as linear light in [0, 1].
        units: as of `new_stage`.

    Raises:
        InputError: usd-core is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="fewview-usd-") as scratch:
        layer = Path(scratch) / "mesh.usdc"
        stage = new_stage(layer, up, units)
        from pxr import Sdf, UsdGeom, UsdShade, UsdUtils

        mesh = UsdGeom.Mesh.Define(stage, "/scene/mesh")
        mesh.CreatePointsAttr(np.ascontiguousarray(vertices, np.float32))
        mesh.CreateFaceVertexCountsAttr(np.full(len(faces), 3, np.int32))
        mesh.CreateFaceVertexIndicesAttr(np.ascontiguousarray(faces, np.int32).reshape(-1))
        mesh.CreateExtentAttr(np.stack([vertices.min(0), vertices.max(0)]).astype(np.float32))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        mesh.CreateDoubleSidedAttr(True)
        shown = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
        shown.Set(np.ascontiguousarray(light, np.float32))
        # Viewers that want a material take the colours through this one.
        material = UsdShade.Material.Define(stage, "/scene/material")
        reader = UsdShade.Shader.Define(stage, "/scene/material/colours")
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
        surface = UsdShade.Shader.Define(stage, "/scene/material/surface")
        surface.CreateIdAttr("UsdPreviewSurface")
        surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0)
        colour = reader.CreateOutput("result", Sdf.ValueTypeNames.Float3)
        surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(colour)
        material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
        stage.GetRootLayer().Save()
        if not UsdUtils.CreateNewUsdzPackage(str(layer), str(path)):
            raise AssertionError(f"USD could not pack {path}")
