"""Stage `cameras`: where the photos were taken from, as given or by mapping of the matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from fewview.recon.camera_source import kind_of, parse_source
from fewview.recon.errors import InputError
from fewview.recon.io.known import model_files
from fewview.recon.progress import Progress
from fewview.recon.sfm.known import check_known, focal_or_kind, focal_or_path
from fewview.recon.sfm.scale import parse_length
from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class MappingConfig:
    """How cameras are found."""

    source: Annotated[str, tyro.conf.arg(name="cameras", aliases=["--prior"], prefix_name=False)] = field(
        default="matching", metadata={"key": kind_of}
    )
    """Where cameras come from: `matching` (what the photos share), `known:PATH` (a COLMAP model, a transforms.json or
    a cameras.json; photos that it lacks are added to it), `pointmaps:PATH` (pre-computed pointmaps, an npz or a folder
    of them, made exact by matches; docs/pointmaps.md), `mapanything` or `mast3r` (pointmaps by that network, where its
    package is installed), or `keypoints` (a folder of videos of a rig of static cameras, calibrated from the people in
    them as by `fewview calibrate`)."""
    intrinsics: Annotated[str | None, tyro.conf.arg(prefix_name=False)] = field(
        default=None, metadata={"key": focal_or_kind}
    )
    """Known intrinsics: a focal length in pixels of the originals, or a file of cameras as for `known:`."""
    scale: Annotated[str | None, tyro.conf.arg(prefix_name=False)] = None
    """A known distance in metres, between two cameras (A.jpg:B.jpg=1.5) or two points that are each picked
    in two photos (A.jpg@X,Y+B.jpg@X,Y:A.jpg@X,Y+B.jpg@X,Y=1.5; pixels of the upright originals)."""
    fields_of_view_deg: tuple[float, ...] = (60.0, 45.0, 80.0)
    """Along the long side: starting values for photos that do not record their focal length."""
    working_px: int = 1024
    """Errors are measured in pixels of photos shrunk to this long side."""
    max_error_px: float = 4.0
    """Observations that are further off are left out."""
    min_observations: int = 12
    """A photo that sees fewer points counts as not placed."""
    seed: int = 0
    """Of the random sampling."""

    def __post_init__(self) -> None:
        parse_source(self.source)
        if self.scale is not None:
            parse_length(self.scale)
        if not self.fields_of_view_deg or not all(0 < angle < 170 for angle in self.fields_of_view_deg):
            raise InputError(
                "Starting fields of view must be between 0 and 170 degrees.", "Give one or more, such as 60."
            )
        if self.max_error_px <= 0 or self.min_observations < 6 or self.working_px < 64:
            raise InputError(
                "max_error_px must be positive, min_observations at least 6 and working_px at least 64.",
                "Correct the mapping options.",
            )

    def files(self) -> tuple[Path, ...]:
        """The user's files that the stage reads.

        Raises:
            InputError: one is missing.
        """
        intrinsics = None if self.intrinsics is None else focal_or_path(self.intrinsics)
        given = model_files(intrinsics) if isinstance(intrinsics, Path) else ()
        return (*parse_source(self.source).files(), *given)

    def needs(self) -> tuple[str, ...]:
        """Where the cameras come from decides."""
        source = parse_source(self.source)
        further = ("motion",) if source.kind == "keypoints" else ("pointmaps",) if source.is_learned else ()
        return ("photos", "matches", *further)

    def check(self, photos: Sequence[str] | None) -> None:
        """Reads the cameras that are given: bad ones are refused before photos are matched for minutes.

        Args:
            photos: names of all that may come; None where they are not known yet.

        Raises:
            InputError: the cameras cannot be read, or are of other photos.
        """
        source = parse_source(self.source)
        check_known(photos, source.path if source.kind == "known" else None, self.intrinsics)


@dataclass(frozen=True)
class ModelFact:
    """A model that mapping found, and what speaks for it."""

    start: str
    registered: int
    believed: int
    """Photos whose places are."""
    worth: float
    """Of these places, each as far as its probability is above that from which a photo has a place."""
    observations: int
    held_out_agree: int
    held_out: int
    """Matches kept from mapping."""
    median_error_px: float


@dataclass(frozen=True)
class LensFact:
    """How many lenses were tried, and how much more agrees with them than with one."""

    lenses: int
    support: float


@dataclass(frozen=True)
class MappingFacts:
    """What the stage tells."""

    models: tuple[ModelFact, ...] = ()
    """Best first."""
    model_chosen: str | None = None
    """Its start."""
    lens_models: tuple[LensFact, ...] = ()
    doubted_given: tuple[tuple[str, str], ...] = ()
    """Pairs of photos that contradict their given poses."""
    prior: str | None = None
    """Kind of source, see `fewview.recon.camera_source`."""
    prior_reason: str | None = None
    units: str | None = None
    scale_source: str | None = None
    given_poses: int | None = None
    advice: tuple[str, ...] = ()
    """What to photograph next."""
    bare_sides: tuple[tuple[str, str], ...] = ()
    """Photo, and `left` or `right` where no other sees what it shows."""
    lenses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Photos by their lens."""
    focal_source: Mapping[str, str] = field(default_factory=dict)
    """By the lens."""
    registered: str | None = None
    """Photos, of how many."""
    observations: int | None = None
    points: int | None = None
    reprojection_px: float | None = None
    """Mean, in working pixels."""
    uncertain_focals: tuple[str, ...] = ()
    """A sentence for each lens whose focal length the photos hardly tell."""
    probability: float | None = None
    """That all photos that were placed have their right place."""
    moved_from_keypoints: float | None = None
    """Mean, of a rig's cameras, in units of the world."""


def run(inputs: Mapping[str, Path], config: MappingConfig, out: Path, progress: Progress) -> None:
    """Place the photos: `cameras.json`, `sparse/0` and `transforms.json` in `out` (docs/artifacts.md).

    Run it in a child process: pycolmap aborts on what it takes for a bug.

    Args:
        inputs: `photos` and `matches`; `motion` where the photos are of a rig calibrated from people, `pointmaps`
            where there are any.

    Raises:
        ReconstructionError: the photos do not overlap enough to place two of them.
        InputError: what is given of cameras, intrinsics or scale cannot be used.
    """
    if "motion" in inputs:
        from fewview.recon.sfm.rig import place_rig

        place_rig(inputs["photos"], inputs["matches"], inputs["motion"], config, out, progress)
        return
    from fewview.recon.sfm.stage import place_photos  # pycolmap takes a second to import

    place_photos(inputs["photos"], inputs["matches"], inputs.get("pointmaps"), config, out, progress)


STAGE = StageSpec(
    name="cameras",
    title="Cameras",
    run=run,
    Config=MappingConfig,
    Facts=MappingFacts,
    needs=MappingConfig.needs,
    sources=MappingConfig.files,
    isolated=True,  # pycolmap can abort the interpreter
    result="transforms.json",
    typical_s=5.0,
)

__all__ = ["STAGE", "LensFact", "MappingConfig", "MappingFacts", "ModelFact", "run"]
