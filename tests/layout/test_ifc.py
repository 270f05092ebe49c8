"""The room as IFC, read back by ifcopenshell and meshed by its geometry kernel."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import ifcopenshell
import ifcopenshell.geom
import ifcopenshell.validate
import numpy as np
import pytest
import trimesh
from shapely.geometry import Polygon

from fewview.apps.cli import main
from fewview.layout.document import write_layout
from fewview.layout.ifc import export_ifc
from fewview.layout.model import Opening, RoomLayout
from fewview.recon.errors import InputError
from fewview.recon.scale import Scale
from tests.layout.prisms import L_SHAPE, room

DOOR, WINDOW = Opening("door", 0.5, 1.4, 0.0, 2.0, 0.9), Opening("window", 2.0, 3.0, 0.9, 2.1, 0.8)
METRE = 0.4
"""Scene units."""


def _write(folder: Path, layout: RoomLayout | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    scale = Scale("unknown", "guessed from how high rooms are", (0.9, 1.1), METRE, guess=True)
    write_layout(folder, layout and layout.scaled(METRE), None if layout else "no floor", scale, [], [])
    return folder / "layout.json"


@pytest.fixture
def truth() -> RoomLayout:
    walls = list(room(L_SHAPE).walls)
    walls[0] = replace(walls[0], openings=(DOOR, WINDOW))
    walls[1] = replace(walls[1], observed=False, confidence=0.0)
    return replace(room(L_SHAPE), walls=tuple(walls))


def _volume(element: ifcopenshell.entity_instance) -> float:
    shape = ifcopenshell.geom.create_shape(ifcopenshell.geom.settings(), element)
    mesh = trimesh.Trimesh(np.reshape(shape.geometry.verts, (-1, 3)), np.reshape(shape.geometry.faces, (-1, 3)))
    assert mesh.is_watertight
    return float(mesh.volume)


def test_everything_is_read_back_in_metres(truth: RoomLayout, tmp_path: Path) -> None:
    export_ifc(_write(tmp_path, truth), tmp_path / "room.ifc")
    model = ifcopenshell.open(tmp_path / "room.ifc")
    log = ifcopenshell.validate.json_logger()
    ifcopenshell.validate.validate(model, log)
    assert not log.statements
    (project,) = model.by_type("IfcProject")
    assert "guessed from how high rooms are, within −10 and +10 %" in project.Description
    (space,) = model.by_type("IfcSpace")
    assert _volume(space) == pytest.approx(truth.area * truth.height, rel=1e-6)
    walls = model.by_type("IfcWall")
    assert len(walls) == 6
    # Outer corners are mitred: together the walls fill the ring around the room, less the openings.
    [thickness] = {
        part.Depth
        for slab in model.by_type("IfcSlab")
        for part in model.traverse(slab.Representation)
        if part.is_a("IfcExtrudedAreaSolid")
    }
    assert 0.05 <= thickness <= 0.4
    ring = Polygon(L_SHAPE).buffer(thickness, join_style="mitre").area - truth.area
    holes = thickness * sum((o.end - o.start) * (o.high - o.low) for o in (DOOR, WINDOW))
    assert sum(map(_volume, walls)) == pytest.approx(ring * truth.height - holes, rel=1e-4)
    (door,), (window,) = model.by_type("IfcDoor"), model.by_type("IfcWindow")
    assert (door.OverallWidth, door.OverallHeight) == pytest.approx((0.9, 2.0))
    assert (window.OverallWidth, window.OverallHeight) == pytest.approx((1.0, 1.2))
    assert door.FillsVoids[0].RelatingOpeningElement.VoidsElements[0].RelatingBuildingElement == walls[0]
    facts = [element.IsDefinedBy[0].RelatingPropertyDefinition.HasProperties for element in walls]
    assert [fact[0].NominalValue.wrappedValue for fact in facts] == [True, False, True, True, True, True]
    assert "LengthAtLeast" not in {fact.Name for fact in facts[0]}, "where it ends nobody saw"
    bounds = {fact.Name: fact.NominalValue.wrappedValue for fact in facts[3]}
    length = float(np.linalg.norm(L_SHAPE[4] - L_SHAPE[3]))
    assert bounds["LengthAtLeast"] < 0.9 * length < 1.1 * length < bounds["LengthAtMost"]
    again = tmp_path / "again" / "room.ifc"
    export_ifc(_write(tmp_path / "again", truth), again)
    assert again.read_bytes() == (tmp_path / "room.ifc").read_bytes()


def test_command_and_errors(
    truth: RoomLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    _write(run / "layout", truth)
    (run / "manifest.json").write_text(json.dumps({}))
    assert main(["export", str(run), "--to", str(tmp_path / "to"), "--format", "ifc"]) == 0
    assert len(ifcopenshell.open(tmp_path / "to" / "room.ifc").by_type("IfcWall")) == 6
    with pytest.raises(InputError, match="says that the photos show no room"):
        export_ifc(_write(tmp_path / "none", None), tmp_path / "none.ifc")
    monkeypatch.setitem(sys.modules, "ifcopenshell", None)
    monkeypatch.setitem(sys.modules, "ifcopenshell.guid", None)
    assert main(["export", str(run), "--to", str(tmp_path / "missing"), "--format", "ifc"]) == 2
    assert "pip install 'fewview[ifc]'" in capsys.readouterr().err
