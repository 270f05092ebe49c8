"""The room for building information models: IFC4, through ifcopenshell (extra `ifc`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from fewview.layout.document import read_layout, read_scale
from fewview.layout.measures import Measure, RoomMeasures, measure
from fewview.layout.model import Opening, RoomLayout
from fewview.recon.errors import InputError
from fewview.recon.scale import Scale

if TYPE_CHECKING:
    import ifcopenshell

THICKNESS_M = 0.1
"""Of walls and floor, outwards: photos show one side of them, and a solid needs two."""
_NAMESPACE = uuid.UUID("6a2f3c1e-7d52-4e0c-9f7a-2b1d8c4e5f60")


def export_ifc(source: Path, path: Path) -> None:
    """Write a `layout.json` as IFC: walls with their openings, floor slab, space; metres, z up.

    Raises:
        InputError: ifcopenshell is not installed, `source` is no layout, or it says that the photos show no room.
    """
    try:
        import ifcopenshell.guid
    except ImportError:
        raise InputError(
            "IFC is written by ifcopenshell, which is not installed.", "Run: pip install 'fewview[ifc]'"
        ) from None
    layout = read_layout(source)
    if layout is None:
        raise InputError(f"{source} says that the photos show no room.", "There is no plan to export.")
    scale = read_scale(source)
    spread = f", {scale.spread}" if scale.interval else ""
    note = f"Scale: {scale.source}{spread}. Thickness is not measured."
    model = ifcopenshell.file(schema="IFC4")
    _Writer(model).room(layout.scaled(1 / scale.metre), note, measure(layout, scale), scale)
    model.header.file_name.name = path.name
    model.header.file_name.time_stamp = "1970-01-01T00:00:00"  # the same room is the same file
    model.write(str(path))


class _Writer:
    def __init__(self, model: ifcopenshell.file) -> None:
        self._model = model
        self._count = 0
        self._origin = self._frame((0, 0, 0))

    def room(self, layout: RoomLayout, note: str, measures: RoomMeasures, scale: Scale) -> None:
        units = [self._new("IfcSIUnit", UnitType=kind, Name=name) for kind, name in (
            ("LENGTHUNIT", "METRE"), ("AREAUNIT", "SQUARE_METRE"), ("VOLUMEUNIT", "CUBIC_METRE"),
            ("PLANEANGLEUNIT", "RADIAN"),
        )]  # fmt: skip
        self._context = self._new(
            "IfcGeometricRepresentationContext",
            ContextType="Model",
            CoordinateSpaceDimension=3,
            Precision=1e-5,
            WorldCoordinateSystem=self._origin,
        )
        project = self._root(
            "IfcProject",
            "Room from photos",
            Description=note,
            RepresentationContexts=[self._context],
            UnitsInContext=self._new("IfcUnitAssignment", Units=units),
        )
        building = self._root("IfcBuilding", "Building", ObjectPlacement=self._place(), CompositionType="ELEMENT")
        storey = self._root("IfcBuildingStorey", "Storey", ObjectPlacement=self._place(), CompositionType="ELEMENT")
        low, height = layout.floor.height, layout.height
        space = self._solid("IfcSpace", "Room", layout.polygon, low, height, CompositionType="ELEMENT")
        said: dict[str, tuple[str, Any]] = {
            "ScaleSource": ("IfcText", scale.source),
            "ScaleIsAGuess": ("IfcBoolean", scale.guess),
            **_bounds("Area", "IfcAreaMeasure", measures.area),
            **_bounds("Height", "IfcLengthMeasure", measures.height),
        }
        self._say(space, said)
        for whole, parts in ((project, [building]), (building, [storey]), (storey, [space])):
            self._root("IfcRelAggregates", None, RelatingObject=whole, RelatedObjects=parts)
        outer = layout.moved(np.array([0, 0, *[-THICKNESS_M] * len(layout.walls)])).polygon
        slab = self._solid("IfcSlab", "Floor", outer, low - THICKNESS_M, THICKNESS_M, PredefinedType="FLOOR")
        self._facts(slab, layout.floor.observed, layout.floor.confidence)
        elements = [slab]
        for index, wall in enumerate(layout.walls):
            after = (index + 1) % len(layout.walls)
            outline = np.stack([wall.start, outer[index], outer[after], wall.end])
            element = self._solid("IfcWall", f"Wall {index}", outline, low, height, PredefinedType="SOLIDWALL")
            self._facts(element, wall.observed, wall.confidence, measures.walls[index])
            elements.append(element)
            for opening in wall.openings:
                ends = [wall.start + t * wall.direction for t in (opening.start, opening.end)]
                elements += self._opening(element, opening, ends, wall.normal, low)
        self._root("IfcRelContainedInSpatialStructure", None, RelatingStructure=storey, RelatedElements=elements)

    def _opening(
        self, wall: Any, opening: Opening, ends: Sequence[np.ndarray], normal: np.ndarray, floor: float
    ) -> list[Any]:
        """The void, and the door or window that fills it (without a body: it was not seen)."""
        outline = np.stack([ends[0], ends[0] - THICKNESS_M * normal, ends[1] - THICKNESS_M * normal, ends[1]])
        height = opening.high - opening.low
        void = self._solid(
            "IfcOpeningElement", opening.kind, outline, floor + opening.low, height, PredefinedType="OPENING"
        )
        self._root("IfcRelVoidsElement", None, RelatingBuildingElement=wall, RelatedOpeningElement=void)
        if opening.kind == "opening":
            self._facts(void, True, opening.confidence)
            return []
        filling = self._root(
            "IfcDoor" if opening.kind == "door" else "IfcWindow",
            opening.kind,
            ObjectPlacement=self._place((*ends[0], floor + opening.low)),
            OverallHeight=float(height),
            OverallWidth=float(opening.end - opening.start),
        )
        self._facts(filling, True, opening.confidence)
        self._root("IfcRelFillsElement", None, RelatingOpeningElement=void, RelatedBuildingElement=filling)
        return [filling]

    def _solid(
        self, kind: str, name: str, outline: Float[np.ndarray, "N 2"], low: float, height: float, **values: Any
    ) -> Any:
        """An element whose body is an upright prism."""
        points = [self._new("IfcCartesianPoint", Coordinates=point.tolist()) for point in outline]
        curve = self._new("IfcPolyline", Points=[*points, points[0]])
        body = self._new(
            "IfcExtrudedAreaSolid",
            SweptArea=self._new("IfcArbitraryClosedProfileDef", ProfileType="AREA", OuterCurve=curve),
            Position=self._frame((0, 0, low)),
            ExtrudedDirection=self._new("IfcDirection", DirectionRatios=[0.0, 0.0, 1.0]),
            Depth=float(height),
        )
        shape = self._new(
            "IfcShapeRepresentation",
            ContextOfItems=self._context,
            RepresentationIdentifier="Body",
            RepresentationType="SweptSolid",
            Items=[body],
        )
        shown = self._new("IfcProductDefinitionShape", Representations=[shape])
        return self._root(kind, name, ObjectPlacement=self._place(), Representation=shown, **values)

    def _facts(self, element: Any, observed: bool, confidence: float, length: Measure | None = None) -> None:
        """What was seen of an element, and how long it is, as properties."""
        seen = {"Observed": ("IfcBoolean", observed), "Confidence": ("IfcReal", float(confidence))}
        self._say(element, seen | (_bounds("Length", "IfcLengthMeasure", length) if length else {}))

    def _say(self, element: Any, said: Mapping[str, tuple[str, Any]]) -> None:
        """Properties: name, type and value."""
        values = [
            self._new("IfcPropertySingleValue", Name=name, NominalValue=self._new(kind, value))
            for name, (kind, value) in said.items()
        ]
        properties = self._root("IfcPropertySet", "fewview", HasProperties=values)
        self._root("IfcRelDefinesByProperties", None, RelatedObjects=[element], RelatingPropertyDefinition=properties)

    def _place(self, origin: Sequence[float] = (0, 0, 0)) -> Any:
        return self._new("IfcLocalPlacement", RelativePlacement=self._frame(origin))

    def _frame(self, origin: Sequence[float]) -> Any:
        point = self._new("IfcCartesianPoint", Coordinates=[float(x) for x in origin])
        return self._new("IfcAxis2Placement3D", Location=point)

    def _root(self, kind: str, name: str | None, **values: Any) -> Any:
        """An entity with an identifier: the same in every file that has the same entities before it."""
        import ifcopenshell.guid

        self._count += 1
        identifier = ifcopenshell.guid.compress(uuid.uuid5(_NAMESPACE, str(self._count)).hex)
        return self._new(kind, GlobalId=identifier, Name=name, **values)

    def _new(self, kind: str, *place: Any, **values: Any) -> Any:
        return self._model.create_entity(kind, *place, **values)


def _bounds(name: str, kind: str, measure: Measure) -> dict[str, tuple[str, Any]]:
    """The ends of a measure's interval; nothing where it is a guess."""
    if measure.interval is None:
        return {}
    return {f"{name}{end}": (kind, value) for end, value in zip(("AtLeast", "AtMost"), measure.interval, strict=True)}
