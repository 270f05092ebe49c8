"""The stages of this package: `splat`, `mesh` and `renders`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fewview.recon.stage import StageSpec


@dataclass(frozen=True)
class SplatConfig:
    """How Gaussians and poses are optimised."""

    steps: int = 600
    """At most so many, one photo each."""
    stop_early: bool = True
    """End sooner once the error of the photos has settled."""
    long_side: int = 512
    """Of the photos as trained on, in pixels."""
    budget: int = 100_000
    """About how many Gaussians at most, besides the backdrop."""
    grow: float = 0.3
    """Share of the budget kept for splitting Gaussians where the error is large."""
    guess_coarseness: float = 4.0
    """Where only one photo saw the surface, Gaussians stand so many times wider apart: detail at a guessed depth is
    noise from any other place."""
    sh_degree: int = 1
    """Spherical harmonics of the colours, 0 to 3."""
    backdrop: bool = True
    """Put a soft layer behind and beside what the photos saw, in place of black."""
    seed: int = 0
    """Of the order in which the views are visited."""
    refine_poses: bool = True
    """Optimise the poses too; those that the user gave stay, or else the first."""
    refine_focal: bool = False
    """Optimise one focal length per camera too (CPU only)."""
    view_weights: Mapping[str, float] = field(default_factory=dict)
    """How much a photo counts, by its name; 1 where not named, 0 leaves it out of the training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to optimise: `auto` takes CUDA where gsplat works there."""
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the loss; the rest is L1."""
    depth_weight: float = 0.1
    """Of the relative depth error where the depth stage verified it."""
    normal_weight: float = 0.05
    """Of the error of normals (1 - cosine) where the depth stage verified them."""
    opacity_weight: float = 0.0
    """Of the mean opacity: what no photo needs becomes transparent."""
    needle_ratio: float = 0.0
    """A Gaussian's longest axis is kept under so many times its second one."""
    exposure: bool = True
    """Fit a gain and an offset per photo and channel."""
    dropout: float = 1.0
    """A step leaves out this times a third of the Gaussians at 3 photos, less at 4 and 5, none from 6 on and once rates
    fall: the fewer photos, the more looks right from their places alone. 0 leaves out none."""
    rate_position_px: float = 0.1
    """Adam's step for centres, in pixels of the photo that a Gaussian came from."""
    unsure_boost: float = 8.0
    """Centres of confidence 0 move so many times faster than those of confidence 1."""
    rate_color: float = 0.009
    """Of the constant harmonic; a twentieth for the others."""
    rate_opacity: float = 0.05
    """Of the logit."""
    rate_scale: float = 0.01
    """Of the logarithm."""
    rate_rotation: float = 0.01
    """Of the quaternion."""
    rate_pose: float = 1e-4
    """Radians, and shares of the median depth; mapping leaves little, and faster poses drift with the Gaussians."""
    rate_focal: float = 3e-3
    """Of the logarithm."""
    rate_exposure: float = 2e-3
    """Of gains and offsets."""
    final_rate: float = 0.1
    """All rates fall to this share, exponentially."""


@dataclass(frozen=True)
class SplatFacts:
    """What the stage `splat` tells."""

    backend: str | None = None
    """`cpu` or `cuda`."""
    gaussians: int | None = None
    steps: int | None = None
    psnr: float | None = None
    """Mean over the photos, in the last round of the training, dB."""


SPLAT = StageSpec(
    name="splat",
    title="Gaussian splats",
    run=f"{__package__}.optimize:run",
    Config=SplatConfig,
    Facts=SplatFacts,
    needs=("photos", "cameras", "depth"),
    result="splat.ply",
    typical_s=33.0,
)


@dataclass(frozen=True)
class MeshConfig:
    """How the mesh is fused."""

    long_side: int = 512
    """Of the depth maps that are fused, in pixels."""
    voxel_px: float = 1.5
    """Voxel edge in pixels of those maps, at the median depth."""
    truncation_voxels: float = 4.0
    """Half width of the band about a surface in which a depth map has a say."""
    min_alpha: float = 0.8
    """Rendered depth counts where the splats are at least this opaque."""
    max_jump: float = 0.05
    """Depth is left out where it changes by more than this share from a pixel to its neighbour: occlusion edges."""
    max_depth_medians: float = 6.0
    """Depth beyond this multiple of the median has too few pixels for the voxel size and is left out."""
    min_component: float = 0.005
    """Connected pieces with a smaller share of all triangles are dropped."""


@dataclass(frozen=True)
class MeshFacts:
    """What the stage `mesh` tells."""

    units: str | None = None
    vertices: int | None = None
    triangles: int | None = None
    voxel: float | None = None
    """Edge, in those units."""
    extent: tuple[float, ...] = ()
    """Along the world's axes."""


MESH = StageSpec(
    name="mesh",
    title="Mesh",
    run=f"{__package__}.mesh:run",
    Config=MeshConfig,
    Facts=MeshFacts,
    needs=("photos", "splat"),
    isolated=True,  # open3d can abort the interpreter
    result="mesh.glb",
    typical_s=5.0,
)


@dataclass(frozen=True)
class RenderConfig:
    """How pictures and films are rendered."""

    long_side: int = 512
    """Of the pictures and films, in pixels."""
    fps: int = 24
    """Frames a second of the films."""
    seconds: float = 6.0
    """Length of each film."""
    min_alpha: float = 0.5
    """Depth and normals are unknown where the splats are less opaque than this."""
    preview_budget: int = 100_000
    """How many Gaussians the preview keeps: those that the photos show most of."""


@dataclass(frozen=True)
class RenderFacts:
    """What the stage `renders` tells."""

    film_size: tuple[int, int] | None = None
    """Width and height, pixels."""
    film_frames: int | None = None


RENDERS = StageSpec(
    name="renders",
    title="Renders and films",
    run=f"{__package__}.render:run",
    Config=RenderConfig,
    Facts=RenderFacts,
    needs=("photos", "splat"),
    result="path.mp4",
    typical_s=9.0,
)
