"""Stage `layout`: planes, floor plan and a watertight room from the cameras and depth of a few photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class LayoutConfig:
    """How the room's layout is found and shown."""

    long_side: int = 1024
    """Of the overlays, and of the photos that colour the room, pixels."""
    hints: Path | None = field(default=None, metadata={"key": False})
    """Folder with label maps or plane detections for some photos, by their names: `fewview.layout.hints` says how."""

    def sources(self) -> tuple[Path, ...]:
        """The user's files that the stage reads.

        Raises:
            InputError: there is no such folder.
        """
        from fewview.layout.hints import hint_files

        return hint_files(self.hints)


@dataclass(frozen=True)
class LayoutFacts:
    """What the stage tells."""

    room: bool | None = None
    reason: str | None = None
    """Why there is none."""
    walls: int | None = None
    inferred_walls: int | None = None
    """Never seen: something must close the room there."""
    area_m2: float | None = None
    area_spread: str | None = None
    """What to write after it."""
    height_m: float | None = None
    height_spread: str | None = None
    metre: float | None = None
    """Units of the run."""
    scale_source: str | None = None
    scale_interval: tuple[float, float] | None = None
    """True metres in what is called a metre."""
    scale_guess: bool | None = None


STAGE = StageSpec(
    name="layout",
    title="Room and floor plan",
    run=f"{__name__}.stage:run",
    Config=LayoutConfig,
    Facts=LayoutFacts,
    needs=("photos", "cameras", "depth"),
    sources=LayoutConfig.sources,
    result="floorplan.svg",
    typical_s=4.0,
)

__all__ = ["STAGE", "LayoutConfig", "LayoutFacts"]
