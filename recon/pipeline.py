"""The whole system on one screen: which stages there are, what each needs, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from layout import LayoutConfig
from recon.dag import Stage
from recon.depth import DepthConfig
from recon.fusion import MeshConfig
from recon.ingest import IngestConfig
from recon.io.weights import digest
from recon.matching import MatchingConfig
from recon.sfm import MappingConfig
from splatting.optimize import SplatConfig
from splatting.render import RenderConfig


@dataclass(frozen=True)
class PipelineConfig:
    """One field a stage, named like it."""

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

    Args:
        config: one configuration a stage.
        photos: the user's files and folders.

    Raises:
        InputError: there is no photo at `photos`.
    """
    ingest = replace(config.photos, photos=photos)
    return (
        Stage("photos", "recon.ingest:run", config=ingest, sources=ingest.sources()),
        Stage(
            "matches",
            "recon.matching:run",
            ("photos",),
            config.matches,
            weights=(digest("aliked-n16"), digest("lightglue-aliked")),
        ),
        # pycolmap and open3d can abort the interpreter, so these two run in child processes.
        Stage("cameras", "recon.sfm:run", ("photos", "matches"), config.cameras, isolated=True),
        Stage("depth", "recon.depth:run", ("photos", "cameras"), config.depth),
        Stage("layout", "layout:run", ("photos", "cameras", "depth"), config.layout),
        Stage("splat", "splatting.optimize:run", ("photos", "cameras", "depth"), config.splat),
        Stage("mesh", "recon.fusion:run", ("photos", "splat"), config.mesh, isolated=True),
        Stage("renders", "splatting.render:run", ("photos", "splat"), config.renders),
    )


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
