"""What a run came to, as the report and the app show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.scale import Scale
from fewview.recon.stage import StageSpec

FactsT = TypeVar("FactsT")


@dataclass(frozen=True)
class Failure:
    """Why a stage failed."""

    kind: str
    """Class of the error."""
    message: str
    remedy: str | None
    """What to do about it; None for a bug."""


@dataclass(frozen=True)
class Fallback:
    """Where the second best was taken."""

    stage: str
    wanted: str
    used: str
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.stage}: {self.used} instead of {self.wanted}: {self.reason}"


@dataclass(frozen=True)
class StageResult:
    """What became of one stage."""

    name: str
    status: str
    """`planned`, `running`, `ok`, `cached`, `failed` or `skipped`."""
    reason: str
    """Why it ran or was skipped."""
    seconds: float | None
    """Of the attempt that made the artifact, also where it is cached now."""
    peak_mib: float | None
    attempts: int
    fallbacks: tuple[Fallback, ...]
    failure: Failure | None
    log: str | None
    """Relative to the run's folder."""
    facts: Mapping[str, Any]
    """As the manifest has them; read them with `told`."""
    config: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Its artifact is there, and is of this run."""
        return self.status in ("ok", "cached")

    def told(self, spec: StageSpec[Any, FactsT]) -> FactsT:
        """What the stage, whose spec this is, told.

        Raises:
            ValueError: a fact is not of its type.
        """
        return spec.told(self.facts)


@dataclass(frozen=True)
class PhotoResult:
    """One photo; a figure is None where its stage has not finished or does not apply. Paths are relative to the run."""

    name: str
    key: str
    image: str | None
    """The upright working image; None for a photo that could not be decoded."""
    registered: bool | None
    """None: the cameras have not been found."""
    reason: str | None
    """Why it was left out."""
    observations: int
    """Triangulated points that it sees."""
    probability: float | None
    """That its place is right (docs/artifacts.md); None where it was given, or is not known."""
    overlap: float | None
    """Share of its textured area in which another photo sees the same points."""
    bare_sides: tuple[str, ...]
    """`left` or `right` where no other photo sees it."""
    reprojection_px: float | None
    """Mean, in pixels of the original photo."""
    field_of_view_deg: float | None
    """Of its camera, along the long side."""
    depth_verified: float | None
    """Share of its pixels whose depth another photo confirms."""
    depth_completed: float | None
    """Share of its pixels whose depth is a guess."""
    depth_confidence: float | None
    """Mean over the known pixels, 0 to 1."""
    psnr_db: float | None
    """Of its render, against the photo."""
    held_out: bool
    """The splats were not trained on it, so `psnr_db` measures a new view."""
    render: str | None
    comparison: str | None
    """Photo, render and absolute error side by side."""
    depth_picture: str | None
    overlay: str | None
    """The room's layout drawn on it."""


@dataclass(frozen=True)
class PairResult:
    """Two photos that were matched."""

    a: str
    b: str
    verified: int
    """Matches that one geometry explains."""


@dataclass(frozen=True)
class RigCamera:
    """One camera of a calibrated rig."""

    name: str
    placed: bool
    reason: str | None
    offset_s: float | None
    """To be added to its clock to get the common time."""
    reprojection_px: float | None


@dataclass(frozen=True)
class Rig:
    """A rig calibrated from people."""

    cameras: tuple[RigCamera, ...]
    takes: tuple[str, ...]
    warnings: tuple[str, ...]
    """Degenerate arrangements and pairs that nothing ties."""


@dataclass(frozen=True)
class Room:
    """The layout."""

    found: bool
    reason: str | None
    """Why there is none."""
    walls: int = 0
    inferred_walls: int = 0
    """Never seen: something must close the room there."""
    area: str = ""
    """Square metres, and how sure."""
    height: str = ""
    """Metres, and how sure."""


@dataclass(frozen=True)
class Training:
    """How the splats were optimised."""

    backend: str
    gaussians: int
    steps: tuple[int, ...]
    psnr_db: tuple[float, ...]
    """Of the photo of each step, before it."""


@dataclass(frozen=True)
class WeightsUsed:
    """A network that took part."""

    name: str
    licence: str
    used_for: str
    package: str


@dataclass(frozen=True)
class ResultFile:
    """A file worth taking away."""

    path: str
    """Relative to the run's folder."""
    title: str
    bytes: int


@dataclass(frozen=True)
class Results:
    """A finished, partial or failed run."""

    out: Path
    program: str
    started: str
    """UTC, ISO 8601."""
    state: str
    """`planned`, `running`, `complete`, `failed` or `interrupted`."""
    arguments: tuple[str, ...]
    until: str | None
    digest: str
    environment: dict[str, Any]
    verdict: RunVerdict
    advice: tuple[str, ...]
    """What to photograph next, most helpful first."""
    scale: Scale | None
    """None: there are no cameras."""
    stages: tuple[StageResult, ...]
    photos: tuple[PhotoResult, ...]
    pairs: tuple[PairResult, ...]
    rig: Rig | None
    room: Room | None
    training: Training | None
    weights: tuple[WeightsUsed, ...]
    files: tuple[ResultFile, ...]

    def stage(self, name: str) -> StageResult | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def finished(self, name: str) -> bool:
        """The artifact of stage `name` is there, and is of this run."""
        stage = self.stage(name)
        return stage is not None and stage.finished

    @property
    def seconds(self) -> float:
        """Of all stages, also of those cached now."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        return tuple(fallback for stage in self.stages for fallback in stage.fallbacks)
