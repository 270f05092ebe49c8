"""Fits the depth confidence on synthetic rooms, and checks and plots it on rooms that the fit has not seen.

Prints the constants of recon/depth/confidence.py, and on the other rooms the expected calibration error (bins of
.1) and the share of pixels within 3 % of the true depth, for verified and completed pixels.

    python tests/benchmarks/depth_confidence.py --plot calibration.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from fewview.data.gallery import generate
from fewview.data.gallery.layout import Shape
from fewview.recon.depth import DepthConfig
from fewview.recon.depth.artifact import VERIFIED
from fewview.recon.depth.completion import fill
from fewview.recon.depth.confidence import COMPLETED_WEIGHTS, VERIFIED_WEIGHTS, local_contrast, verified_features
from fewview.recon.depth.consistency import agreement
from fewview.recon.depth.covisibility import world_points
from fewview.recon.depth.scene_planes import find_planes
from fewview.recon.depth.sources import SparsePoints, choose_sources, depth_range
from fewview.recon.depth.stage import available_threads, verify
from fewview.recon.depth.stereo import StereoJob, estimate
from fewview.recon.scene import PosedImage

Case = tuple[int, Shape]
"""Seed and shape; three photos, plain walls."""
FIT: tuple[Case, ...] = ((1, "rectangle"), (2, "rectangle"), (4, "rectangle"), (1, "slanted"), (1, "l"))
CHECK: tuple[Case, ...] = ((31, "rectangle"), (3, "slanted"), (2, "l"))
WITHIN = 0.02
RIDGE = 1e-4
COMMITTED = {"verified": VERIFIED_WEIGHTS, "completed": COMPLETED_WEIGHTS}


@dataclass
class Pixels:
    """Of all photos: features and relative error of the pixels of one kind."""

    features: list[dict[str, np.ndarray]] = field(default_factory=list)
    error: list[np.ndarray] = field(default_factory=list)

    def add(self, features: dict[str, np.ndarray], error: np.ndarray, at: np.ndarray) -> None:
        self.features.append({name: value[at] for name, value in features.items()})
        self.error.append(error[at])


def measure(cases: Sequence[Case]) -> dict[str, Pixels]:
    """Depth of all rooms, as the stage computes it from the true cameras."""
    out = {kind: Pixels() for kind in COMMITTED}
    for case in cases:
        seed, shape = case
        print("room", *case, flush=True)
        shots = generate(seed, shape, views=3, plain_walls=True, size=(512, 384)).shots
        depths = [shot.depth for shot in shots]
        views = [
            PosedImage(s.view.name, s.view.camera, s.view.T_world_camera, s.image / np.float32(255), s.depth > 0)
            for s in shots
        ]
        points = features_on_surfaces(views, depths)
        config = DepthConfig()
        sources = choose_sources(views, points, config.sources)
        jobs = [StereoJob(sources[i], *depth_range(views, points, i)) for i in range(len(views))]
        planes = estimate(
            views, jobs, geometric_rounds=config.geometric_rounds, seed=0, threads=available_threads(),
            progress=lambda done, total: None,
        )  # fmt: skip
        maps = [verify(views, planes, i, job.sources) for i, job in enumerate(jobs)]
        scene = find_planes(views, maps, 0).planes
        for i, (view, truth) in enumerate(zip(views, depths, strict=True)):
            others = [j for j in range(len(views)) if j != i]
            mine = planes[i]
            if mine is not None:
                near = [(views[j], other) for j in jobs[i].sources if (other := planes[j]) is not None]
                agreed = agreement(view, mine, [v for v, _ in near], [m for _, m in near])
                at = maps[i].source == VERIFIED
                out["verified"].add(verified_features(view, mine, agreed), np.abs(maps[i].depth / truth - 1), at)
            filled = fill(view, maps[i], scene, [views[j] for j in others], [maps[j] for j in others])
            if filled is not None:
                error = np.abs(1 / np.maximum(filled.inverse, 1e-9) / truth - 1)
                out["completed"].add(filled.features, error, filled.target)
    return out


def features_on_surfaces(views: Sequence[PosedImage], depths: Sequence[np.ndarray]) -> SparsePoints:
    """True surface points where there is texture, as matching would find them."""
    rng = np.random.default_rng(0)
    xyz = []
    for view, depth in zip(views, depths, strict=True):
        weight = np.where(local_contrast(view) > 0.03, local_contrast(view), 0).astype(np.float64).ravel()
        chosen = rng.choice(weight.size, 250, replace=False, p=weight / weight.sum())
        xyz.append(world_points(view, depth, *np.unravel_index(chosen, depth.shape)))
    points = np.concatenate(xyz)
    seen = []
    for view, depth in zip(views, depths, strict=True):
        X = points @ view.T_camera_world[:3, :3].T + view.T_camera_world[:3, 3]
        z = np.where(X[:, 2] > 0, X[:, 2], np.nan)
        u, v = view.camera.fx * X[:, 0] / z + view.camera.cx, view.camera.fy * X[:, 1] / z + view.camera.cy
        inside = (u >= 0) & (v >= 0) & (u < view.camera.width) & (v < view.camera.height)
        there = depth[np.where(inside, v, 0).astype(int), np.where(inside, u, 0).astype(int)]
        seen.append(np.nonzero(inside & (np.abs(there / z - 1) < 0.03))[0])
    return SparsePoints(points, seen)


def fitted(pixels: Pixels) -> dict[str, float]:
    """Logistic regression: maximum likelihood of 'within 2 %', every photo weighing alike."""
    names = list(pixels.features[0])
    X = np.concatenate([np.stack([f[name] for name in names], 1) for f in pixels.features]).astype(np.float64)
    y = np.concatenate(pixels.error) < WITHIN
    weight = np.concatenate([np.full(len(e), 1 / max(len(e), 1)) for e in pixels.error]) / len(pixels.error)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        logit = X @ w
        value = weight @ (np.logaddexp(0, logit) - y * logit) + RIDGE * w @ w
        return float(value), X.T @ (weight * (expit(logit) - y)) + 2 * RIDGE * w

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B").x
    return {name: round(float(value), 2) for name, value in zip(names, found, strict=True)}


def predicted(pixels: Pixels, weights: dict[str, float]) -> np.ndarray:
    parts = [sum(f[name].astype(np.float64) * w for name, w in weights.items()) for f in pixels.features]
    return expit(np.concatenate(parts))


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per bin of .1: share of the pixels, mean confidence, share that is right (NaN where empty)."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    count = np.bincount(bins, minlength=10)
    with np.errstate(invalid="ignore"):
        return (
            count / count.sum(),
            np.bincount(bins, confidence, 10) / count,
            np.bincount(bins, right.astype(float), 10) / count,
        )


def plot(path: Path, curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], size: int = 400) -> None:
    """Reliability diagrams side by side; a circle grows with the share of the pixels in its bin."""
    sheet = []
    for kind, (share, mean, right) in curves.items():
        image = np.full((size + 40, size + 20, 3), 255, np.uint8)
        origin = np.array([10, size + 10])
        cv2.line(image, tuple(origin), (size + 10, 10), (180, 180, 180), 1, cv2.LINE_AA)
        cv2.rectangle(image, (10, 10), (size + 10, size + 10), (0, 0, 0), 1)
        for k in range(10):
            if share[k] > 0:
                at = origin + size * np.array([mean[k], -right[k]])
                radius = 3 + round(20 * float(np.sqrt(share[k])))
                cv2.circle(image, tuple(at.round().astype(int).tolist()), radius, (200, 90, 20), -1, cv2.LINE_AA)
        label = f"{kind}: confidence against share within 2 %"
        cv2.putText(image, label, (10, size + 32), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        sheet.append(image)
    cv2.imwrite(str(path), np.hstack(sheet))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    train, check = measure(FIT), measure(CHECK)
    curves = {}
    for kind in COMMITTED:
        weights = fitted(train[kind])
        print(f"{kind.upper()}_WEIGHTS = {weights}")
        error = np.concatenate(check[kind].error)
        for name, tried in (("as committed", COMMITTED[kind]), ("fitted now", weights)):
            confidence = predicted(check[kind], tried)
            share, mean, right = reliability(confidence, error < WITHIN)
            gap = np.nansum(share * np.abs(mean - right))
            print(f"  {name}: expected calibration error {gap:.3f}; within 3 %: {(error < 0.03).mean():.3f}")
            curves[kind] = (share, mean, right)
    if arguments.plot:
        plot(arguments.plot, curves)


if __name__ == "__main__":
    main()
