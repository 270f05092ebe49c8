"""The whole system on one screen: which stages there are, how they hang together, and the presets.

What a stage is called, needs and runs, it says itself: see the `STAGE` of its package.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import tyro

from fewview.calibration.keypoints import STAGE as KEYPOINTS
from fewview.calibration.keypoints import KeypointsConfig
from fewview.calibration.moment import STAGE as MOMENT
from fewview.calibration.moment import MomentConfig
from fewview.calibration.stage import STAGE as MOTION
from fewview.calibration.stage import MotionConfig
from fewview.layout import STAGE as LAYOUT
from fewview.layout import LayoutConfig
from fewview.recon.camera_source import parse_source
from fewview.recon.depth import STAGE as DEPTH
from fewview.recon.depth import DepthConfig
from fewview.recon.ingest import STAGE as INGEST
from fewview.recon.ingest import IngestConfig
from fewview.recon.matching import STAGE as MATCHES
from fewview.recon.matching import MatchingConfig
from fewview.recon.pointmaps import STAGE as POINTMAPS
from fewview.recon.pointmaps import PointmapsConfig
from fewview.recon.sfm import STAGE as CAMERAS
from fewview.recon.sfm import MappingConfig
from fewview.recon.stage import Stage, StageSpec
from fewview.splatting.config import MESH, RENDERS, SPLAT, MeshConfig, RenderConfig, SplatConfig

ConfigT = TypeVar("ConfigT")


def _of(spec: StageSpec[ConfigT, Any]) -> ConfigT:
    """A stage's place in the configuration, with its own defaults."""
    options: ConfigT = field(default_factory=spec.Config, metadata={"stage": spec})
    return options


@dataclass(frozen=True)
class PipelineConfig:
    """The options of each stage. A line here is what makes a stage part of the program."""

    keypoints: KeypointsConfig = _of(KEYPOINTS)
    motion: MotionConfig = _of(MOTION)
    moment: MomentConfig = _of(MOMENT)
    photos: IngestConfig = _of(INGEST)
    matches: MatchingConfig = _of(MATCHES)
    pointmaps: tyro.conf.Suppress[PointmapsConfig] = _of(POINTMAPS)
    cameras: MappingConfig = _of(CAMERAS)
    depth: DepthConfig = _of(DEPTH)
    layout: LayoutConfig = _of(LAYOUT)
    splat: SplatConfig = _of(SPLAT)
    mesh: MeshConfig = _of(MESH)
    renders: RenderConfig = _of(RENDERS)


SPECS: dict[str, StageSpec[Any, Any]] = {each.name: each.metadata["stage"] for each in fields(PipelineConfig)}
"""By the name of its options."""
RIG = (KEYPOINTS, MOTION, MOMENT)
"""Only for a rig's videos: the cameras come from people, and the photos out of the videos."""


def stages(config: PipelineConfig, photos: tuple[Path, ...]) -> tuple[Stage, ...]:
    """The graph. Artifacts are described in docs/artifacts.md.

        photos -> matches -> cameras -> depth -> splat -> mesh
                                          |         |---> renders
                                          |---> layout

    With `--cameras keypoints` the photos are pictures out of a rig's videos, and cameras start from its calibration:

        keypoints -> motion -> photos -> matches -> cameras ...

    With pointmaps, of a network or pre-computed, these come before the cameras:

        photos -> matches -> pointmaps -> cameras ...

    Args:
        config: the options.
        photos: the user's files and folders; the takes of a rig, as for `rig_stages`.

    Raises:
        InputError: there is no photo at `photos`, or what the options name is missing.
    """
    source = parse_source(config.cameras.source)
    left_out: list[StageSpec[Any, Any]]
    if source.kind == "keypoints":
        left_out = [INGEST]
        videos = replace(config.moment, videos=photos[0], long_side=config.photos.long_side)
        config = replace(config, keypoints=replace(config.keypoints, takes=photos), moment=videos)
    else:
        left_out = [*RIG]
        config = replace(config, photos=replace(config.photos, photos=photos))
    if source.is_learned:
        config = replace(config, pointmaps=PointmapsConfig(config.cameras.source))
    else:
        left_out.append(POINTMAPS)
    return tuple(spec.stage(getattr(config, name)) for name, spec in SPECS.items() if spec not in left_out)


def rig_stages(config: PipelineConfig, takes: tuple[Path, ...]) -> tuple[Stage, ...]:
    """Cameras and motion from people alone: keypoints -> motion.

    Args:
        config: of which `keypoints` and `motion` count.
        takes: a folder of keypoints or videos, or an npz, for each take by the rig.

    Raises:
        InputError: there is no camera in a take, or the known cameras are missing.
    """
    return KEYPOINTS.stage(replace(config.keypoints, takes=takes)), MOTION.stage(config.motion)


PRESETS = {
    "fast": PipelineConfig(
        matches=MatchingConfig(keypoints=1024, long_side=768),
        depth=DepthConfig(long_side=320),
        splat=SplatConfig(long_side=320, steps=200, budget=40_000),
        mesh=MeshConfig(long_side=320),
        renders=RenderConfig(long_side=320, seconds=4.0),
    ),
    "default": PipelineConfig(),
    "best": PipelineConfig(
        photos=IngestConfig(long_side=1536),
        depth=DepthConfig(long_side=768, sources=4),
        splat=SplatConfig(long_side=1024, steps=1500, budget=300_000, sh_degree=2),
        mesh=MeshConfig(long_side=768),
        renders=RenderConfig(long_side=1024),
    ),
}
"""`fast` is a first look; `best` takes a multiple of the time of `default`."""
