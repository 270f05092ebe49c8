"""The stage `depth`: photos and cameras in, depth maps and initial points out (docs/artifacts.md)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fewview.recon.depth import DepthConfig, DepthFacts, ViewFact
from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.depth.completion import complete
from fewview.recon.depth.confidence import VERIFIED_WEIGHTS, probability, verified_features
from fewview.recon.depth.consistency import agreement, verified
from fewview.recon.depth.covisibility import gather_points, kept_pixels
from fewview.recon.depth.patchmatch import PlaneMap
from fewview.recon.depth.scene_planes import ScenePlanes, find_planes
from fewview.recon.depth.sources import SparsePoints, choose_sources, depth_range, read_sparse
from fewview.recon.depth.stereo import StereoJob, estimate
from fewview.recon.errors import ReconstructionError
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import PosedImage
from fewview.recon.views import load_posed


def run(inputs: Mapping[str, Path], config: DepthConfig, out: Path, progress: Progress) -> None:
    """Dense depth for every registered photo, and the initial points.

    Args:
        inputs: folders of `photos` and `cameras`.

    Raises:
        ReconstructionError: no two photos show a common surface, or no depth could be verified.
        InputError: an input folder is incomplete.
    """
    views = load_posed(inputs["photos"], inputs["cameras"], config.long_side)
    keys = {photo.name: photo.key for photo in load_photos(inputs["photos"])}
    points = read_sparse(inputs["cameras"] / "sparse" / "0", [view.name for view in views])
    maps, planes = dense_depth(views, points, config, available_threads(), progress)
    for view, depth_map in zip(views, maps, strict=True):
        depth_map.save(out / f"{keys[view.name]}.npz")
    cloud = gather_points(views, maps, kept_pixels(views, maps))
    cloud.save(out)
    planes.save(out / "planes.json")
    told = tuple(_facts(view, depth_map) for view, depth_map in zip(views, maps, strict=True))
    progress.tell(DepthFacts(views=told, points=len(cloud.xyz)))


def dense_depth(
    views: Sequence[PosedImage], points: SparsePoints, config: DepthConfig, threads: int, progress: Progress
) -> tuple[list[DepthMap], ScenePlanes]:
    """Stereo, verification, the scene's planes and completion for all views.

    Raises:
        ReconstructionError: as `run`.
    """
    sources = choose_sources(views, points, config.sources)
    jobs = [StereoJob(sources[i], *depth_range(views, points, i)) for i in range(len(views))]
    for view, job in zip(views, jobs, strict=True):
        if not job.sources:
            progress.note(f"{view.name}: no other photo shows its surfaces, so there is nothing to match.")
    start = time.perf_counter()
    planes = estimate(
        views,
        jobs,
        geometric_rounds=config.geometric_rounds,
        seed=config.seed,
        threads=threads,
        progress=lambda done, total: progress.step(done, total, "matching round"),
    )
    maps = [verify(views, planes, i, job.sources) for i, job in enumerate(jobs)]
    matched = time.perf_counter()
    if not any((m.source == VERIFIED).any() for m in maps):
        raise ReconstructionError(
            "No surface could be verified: no two photos agree on any depth.",
            "Take photos that overlap more, from places further apart.",
        )
    planes_found = find_planes(views, maps, config.seed)
    if config.completion:
        maps = complete(views, maps, planes_found.planes)
    seconds = {"stereo": matched - start, "completion": time.perf_counter() - matched}
    progress.tell(DepthFacts(seconds={name: round(value, 2) for name, value in seconds.items()}))
    return maps, planes_found


def available_threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def verify(views: Sequence[PosedImage], planes: Sequence[PlaneMap | None], i: int, sources: Sequence[int]) -> DepthMap:
    """What stereo found for view `i` and its sources confirm, with the probability that it is right."""
    mine = planes[i]
    if mine is None:
        return DepthMap.unknown(*views[i].mask.shape)
    others = [(views[j], other) for j in sources if (other := planes[j]) is not None]
    agreed = agreement(views[i], mine, [view for view, _ in others], [other for _, other in others])
    keep = verified(mine, agreed)
    features = verified_features(views[i], mine, agreed)
    confidence = np.where(keep, probability(features, VERIFIED_WEIGHTS), 0)
    depth = np.where(keep, 1 / np.where(keep, mine.inverse, 1), np.nan)
    normal = np.where(keep[..., None], mine.normals(views[i].camera), np.nan)
    return DepthMap(
        depth.astype(np.float32),
        confidence.astype(np.float16),
        normal.astype(np.float16),
        np.where(keep, VERIFIED, 0).astype(np.uint8),
    )


def _facts(view: PosedImage, depth_map: DepthMap) -> ViewFact:
    known = depth_map.source > 0
    confidence = depth_map.confidence[known].astype(np.float32)
    return ViewFact(
        name=view.name,
        verified=round(float((depth_map.source == VERIFIED).mean()), 4),
        completed=round(float((depth_map.source > VERIFIED).mean()), 4),
        confidence=round(float(confidence.mean()), 4) if known.any() else 0.0,
    )
