"""The whole system on one screen: which stages there are, what each needs, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from calibration.detect.detector import weights_of
from calibration.keypoints import KeypointsConfig
from calibration.moment import MomentConfig
from calibration.stage import MotionConfig
from layout import LayoutConfig
from recon.dag import Stage
from recon.depth import DepthConfig
from recon.ingest import IngestConfig
from recon.io.weights import digest
from recon.ladder import parse_source
from recon.matching import MatchingConfig
from recon.priors import PointmapsConfig
from recon.sfm import MappingConfig
from splatting.config import SplatConfig
from splatting.mesh import MeshConfig
from splatting.render import RenderConfig


@dataclass(frozen=True)
class PipelineConfig:
    """One field a stage, named like it."""

    keypoints: KeypointsConfig = field(default_factory=KeypointsConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    moment: MomentConfig = field(default_factory=MomentConfig)
    photos: IngestConfig = field(default_factory=IngestConfig)
    matches: MatchingConfig = field(default_factory=MatchingConfig)
    cameras: MappingConfig = field(default_factory=MappingConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    splat: SplatConfig = field(default_factory=SplatConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    renders: RenderConfig = field(default_factory=RenderConfig)
    layout: LayoutConfig = field(default_factory=LayoutConfig)


def stages(config: PipelineConfig, photos: tuple[Path, ...]) -> tuple[Stage, ...]:
    """The graph. Artifacts are described in docs/artifacts.md.

        photos -> matches -> cameras -> depth -> splat -> mesh
                                          |         |---> renders
                                          |---> layout

    With `--cameras keypoints` the photos are pictures out of a rig's videos, see `rig_stages`:

        keypoints -> motion -> photos -> matches -> cameras ...

    With pointmaps, of a network or pre-computed, these come before the cameras, see `pointmap_stages`:

        photos -> matches -> pointmaps -> cameras ...

    Args:
        config: one configuration a stage.
        photos: the user's files and folders; the takes of a rig, as for `rig_stages`.

    Raises:
        InputError: there is no photo at `photos`.
    """
    rig: tuple[Stage, ...] = ()
    if config.cameras.source == "keypoints":
        rig = rig_stages(config, photos)
        moment = replace(config.moment, videos=photos[0], long_side=config.photos.long_side)
        first = Stage("photos", "calibration.moment:run", ("keypoints", "motion"), moment, sources=moment.sources())
    else:
        ingest = replace(config.photos, photos=photos)
        first = Stage("photos", "recon.ingest:run", config=ingest, sources=ingest.sources())
    pointmaps = pointmap_stages(config)
    return (
        *rig,
        first,
        Stage(
            "matches",
            "recon.matching:run",
            ("photos",),
            config.matches,
            version=2,
            weights=(digest("aliked-n16"), digest("lightglue-aliked")),
        ),
        *pointmaps,
        # pycolmap and open3d can abort the interpreter, so these two run in child processes.
        Stage(
            "cameras",
            "recon.sfm:run",
            ("photos", "matches", *(stage.name for stage in (*rig[-1:], *pointmaps))),
            config.cameras,
            version=3,
            sources=config.cameras.files(),
            isolated=True,
        ),
        Stage("depth", "recon.depth:run", ("photos", "cameras"), config.depth, version=4),
        Stage(
            "layout",
            "layout:run",
            ("photos", "cameras", "depth"),
            config.layout,
            version=5,
            sources=config.layout.sources(),
        ),
        Stage("splat", "splatting.optimize:run", ("photos", "cameras", "depth"), config.splat),
        Stage("mesh", "splatting.mesh:run", ("photos", "splat"), config.mesh, isolated=True),
        Stage("renders", "splatting.render:run", ("photos", "splat"), config.renders, version=3),
    )


def rig_stages(config: PipelineConfig, takes: tuple[Path, ...]) -> tuple[Stage, ...]:
    """Cameras and motion from people alone: keypoints -> motion.

    Args:
        config: of which `keypoints` and `motion` count.
        takes: a folder of keypoints or videos, or an npz, for each take by the rig.

    Raises:
        InputError: there is no camera in a take, or the known cameras are missing.
    """
    keypoints = replace(config.keypoints, takes=takes)
    return (
        # The detector's runtime can abort the interpreter, so it runs in a child process.
        Stage(
            "keypoints",
            "calibration.keypoints:run",
            config=keypoints,
            sources=keypoints.sources(),
            weights=tuple(digest(name) for name in weights_of(keypoints.detector)),
            isolated=True,
        ),
        Stage(
            "motion", "calibration.stage:run", ("keypoints",), config.motion, version=2, sources=config.motion.sources()
        ),
    )


def pointmap_stages(config: PipelineConfig) -> tuple[Stage, ...]:
    """The stage `pointmaps`, where `--cameras` names a learned rung.

    Raises:
        InputError: the pointmaps are missing, or the package of the network.
    """
    source = parse_source(config.cameras.source)
    if not source.is_learned:
        return ()
    # Only MASt3R looks at pairs: at those that matching found worth it.
    needs = ("photos", "matches") if source.rung == "mast3r" else ("photos",)
    pointmaps = PointmapsConfig(config.cameras.source)
    return (Stage("pointmaps", "recon.priors:run", needs, pointmaps, version=2, sources=source.files(), isolated=True),)


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
