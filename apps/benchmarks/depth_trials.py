"""Rooms of known shape whose depth is estimated from photos and true cameras."""

from __future__ import annotations

import numpy as np

from fewview.data.gallery import Room, generate
from fewview.recon.depth import DepthConfig
from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.depth.completion import complete
from fewview.recon.depth.covisibility import world_points
from fewview.recon.depth.scene_planes import find_planes
from fewview.recon.depth.sources import SparsePoints, choose_sources, depth_range
from fewview.recon.depth.stage import verify
from fewview.recon.depth.stereo import StereoJob, estimate
from fewview.recon.metrics import depth_errors
from fewview.recon.scene import PosedImage

_SIZE = (192, 144)
_POINTS = 150
"""Triangulated points of each view: sparse, as matching gives them."""


class DepthTrials:
    """See `fewview.apps.benchmarks.thresholds.Trials`."""

    scenes = (
        "two furnished rooms of `fewview.data.gallery` with plain walls (seeds 941 and 942: a rectangle and an L; 3 "
        f"photos of {_SIZE[0]} x {_SIZE[1]}, true cameras)"
    )

    def __init__(self) -> None:
        rooms = {
            "rectangle": generate(941, "rectangle", 3, True, _SIZE),
            "l": generate(942, "l", 3, True, _SIZE, "around"),
        }
        self._trials = {name: _Trial(room) for name, room in rooms.items()}

    def run(self, section: str) -> dict[str, dict[str, float]]:
        """Shares of all pixels that are verified, and that are within 3 % of the truth; of the verified ones that are;
        and one less the mean difference of confidence and being within 2 %."""
        stereo = section.startswith("Matching")
        return {name: trial.run(stereo) for name, trial in self._trials.items()}


class _Trial:
    def __init__(self, room: Room) -> None:
        self._truth = [shot.depth for shot in room.shots]
        self._views = [
            PosedImage(
                shot.view.name,
                shot.view.camera,
                shot.view.T_world_camera,
                shot.image.astype(np.float32) / 255,
                np.ones(shot.depth.shape, bool),
            )
            for shot in room.shots
        ]
        self._points = _sparse(self._views, self._truth, room.seed)
        self._matched: list[DepthMap] = []

    def run(self, stereo: bool) -> dict[str, float]:
        """Matching, which takes longest, is done again only where its constants are those that change."""
        matched = self._match() if stereo or not self._matched else self._matched
        if not self._matched:
            self._matched = matched
        planes = find_planes(self._views, matched, 0).planes
        return self._figures(complete(self._views, matched, planes))

    def _match(self) -> list[DepthMap]:
        config, views = DepthConfig(), self._views
        sources = choose_sources(views, self._points, config.sources)
        jobs = [StereoJob(sources[i], *depth_range(views, self._points, i)) for i in range(len(views))]
        planes = estimate(
            views, jobs, geometric_rounds=config.geometric_rounds, seed=0, threads=1, progress=lambda done, total: None
        )
        return [verify(views, planes, i, job.sources) for i, job in enumerate(jobs)]

    def _figures(self, maps: list[DepthMap]) -> dict[str, float]:
        errors = [depth_errors(truth, found.depth) for truth, found in zip(self._truth, maps, strict=True)]
        verified = np.stack([found.source == VERIFIED for found in maps])
        known = np.stack([found.source > 0 for found in maps])
        off = np.abs(np.stack([found.depth for found in maps]) / np.stack(self._truth) - 1)
        confidence = np.stack([found.confidence for found in maps]).astype(np.float64)
        gap = np.abs(confidence - (off < 0.02))[known].mean() if known.any() else 1.0
        return {
            "within 3 %": float(np.mean([error.within_3_percent for error in errors])),
            "verified": float(verified.mean()),
            "of verified": float((off[verified] < 0.03).mean()) if verified.any() else 0.0,
            "confidence": 1 - float(gap),
        }


def _sparse(views: list[PosedImage], depths: list[np.ndarray], seed: int) -> SparsePoints:
    """Exact points on the surfaces, seen by every view whose depth agrees."""
    random, parts = np.random.default_rng(seed), []
    for view, depth in zip(views, depths, strict=True):
        at = random.choice(depth.size, _POINTS, replace=False)
        parts.append(world_points(view, depth, *np.unravel_index(at, depth.shape)))
    xyz, seen = np.concatenate(parts), []
    for view, depth in zip(views, depths, strict=True):
        local = (xyz - view.T_world_camera[:3, 3]) @ view.T_world_camera[:3, :3]
        u, v = view.camera.project(local).T
        inside = (u >= 0) & (v >= 0) & (u < view.camera.width) & (v < view.camera.height)
        there = depth[np.where(inside, v, 0).astype(int), np.where(inside, u, 0).astype(int)]
        seen.append(np.flatnonzero(inside & (np.abs(there / local[:, 2] - 1) < 0.03)))
    return SparsePoints(xyz, seen)
