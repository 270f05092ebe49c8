"""Views around a cloud of points, and the artifacts of the stages before mapping, made of exact geometry."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.matching.artifact import TieEvidence
from fewview.recon.matching.tie_odds import tie_log_odds
from fewview.recon.photos import Photo, save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera, View
from fewview.recon.sfm import MappingConfig, run

POINTS = 300


def evidence_of(matches: int, confidence: float) -> TieEvidence:
    """Of a pair that the matcher is as sure of: from 0, what only looks alike, to 1, what is one scene."""
    return TieEvidence(
        matcher="aliked+lightglue",
        keypoints=POINTS,
        raw=round(matches / (0.5 + confidence / 2)),
        verified=matches,
        still=0,
        certain_share=float(confidence > 0.8),
        mean_confidence=confidence,
        similarity=0.9,
        repetition=0.95 - 0.3 * confidence,
        unique_share=confidence,
        spread=0.5,
        match_rate=0.5,
        plane_share=0.95 - 0.5 * confidence,
        front_share=0.7 + 0.3 * confidence,
        lens=0.99,
        roll_deg=0.0,
        angle_deg=10.0,
    )


def pose(center: np.ndarray, target: np.ndarray, roll_deg: float = 0.0) -> np.ndarray:
    """Camera to world, looking at `target`, world y down."""
    z = (target - center) / np.linalg.norm(target - center)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1) @ Rotation.from_euler("z", roll_deg, degrees=True).as_matrix()
    T[:3, 3] = center
    return T


def scene(count: int, focal: float = 900.0, k1: float = 0.0) -> tuple[list[View], np.ndarray]:
    """Views along an arc around a cloud of points."""
    random = np.random.default_rng(1)
    points = random.uniform([-1, -0.8, -0.7], [1, 0.8, 0.7], (POINTS, 3))
    views = []
    for i, angle in enumerate(np.radians(np.linspace(-30, 30, count))):
        center = np.array([4 * np.sin(angle), 0.3 * np.cos(5 * angle) - 0.5, -4 * np.cos(angle)])
        size = (1000, 750) if i % 3 else (750, 1000)
        camera = Camera(*size, focal, focal, size[0] / 2, size[1] / 2, (k1, 0, 0, 0) if k1 else ())
        views.append(View(f"{i}.png", camera, pose(center, np.array([0.1 * i, 0, 0]))))
    return views, points


def project(view: View, points: np.ndarray) -> np.ndarray:
    X = points @ view.T_camera_world[:3, :3].T + view.T_camera_world[:3, 3]
    uv = X[:, :2] / X[:, 2:]
    if view.camera.fisheye:
        radius = np.hypot(X[:, 0], X[:, 1])
        uv = X[:, :2] * (np.arctan2(radius, X[:, 2]) / radius)[:, None]
    k1 = view.camera.distortion[0] if view.camera.distortion else 0.0
    return uv * (view.camera.fx * (1 + k1 * (uv**2).sum(axis=1, keepdims=True))) + [
        view.camera.cx,
        view.camera.cy,
    ]


class MatchedScene:
    """Artifacts of the stages before, with exact keypoints, noise and wrong matches."""

    def __init__(self, folder: Path, views: list[View], points: np.ndarray, noise_px: float, **photo: float) -> None:
        self.folder, self.views = folder, views
        self.random = np.random.default_rng(0)
        for name in ("photos/images", "matches/features", "matches/pairs"):
            (folder / name).mkdir(parents=True)
        self.photos = []
        self.pairs: list[dict[str, object]] = []
        self.fisheyes: dict[str, float] = {}
        for i, view in enumerate(views):
            camera = view.camera
            cv2.imwrite(str(folder / "photos" / "images" / view.name), np.full((8, 8, 3), (0, 128, 255), np.uint8))
            self.photos.append(
                Photo(
                    view.name,
                    str(i),
                    view.name,
                    "0" * 64,
                    camera.width,
                    camera.height,
                    f"images/{view.name}",
                    **photo,
                )
            )
            xy = project(view, points) + self.random.normal(0, noise_px, (POINTS, 2))
            np.savez(
                folder / "matches" / "features" / f"{i}.npz",
                keypoints=xy.astype(np.float32),
                scores=np.ones(POINTS),
            )

    def match(self, a: int, b: int, true: int, wrong: int = 0, model: str = "general", confidence: float = 1.0) -> None:
        """Match a random choice of points rightly and of others wrongly."""
        order = self.random.permutation(POINTS)
        right, left = order[:true], order[true : true + wrong]
        matches = np.concatenate([np.stack([right, right], 1), np.stack([left, np.roll(left, 1)], 1)])
        self.write(a, b, matches, model, confidence)

    def write(self, a: int, b: int, matches: np.ndarray, model: str = "general", confidence: float = 1.0) -> None:
        """Any matches."""
        np.savez(
            self.folder / "matches" / "pairs" / f"{a}--{b}.npz",
            matches=matches.astype(np.int32),
            confidence=np.full(len(matches), confidence, np.float32),
        )
        names = {"a": self.views[a].name, "b": self.views[b].name}
        count = len(matches)
        model = model if count else "none"
        log_odds = None if model == "none" else tie_log_odds(evidence_of(count, confidence))
        self.pairs.append(
            {**names, "raw": count, "verified": count, "model": model, "median_angle_deg": None, "log_odds": log_odds}
        )

    def run(self, out: str = "cameras", **options: Any) -> tuple[CameraSet, LogProgress]:
        save_photos(self.folder / "photos", self.photos)
        text = json.dumps({"matcher": "aliked+lightglue", "fisheyes": self.fisheyes, "pairs": self.pairs})
        (self.folder / "matches" / "pairs.json").write_text(text)
        (self.folder / out).mkdir()
        progress = LogProgress()
        inputs = {name: self.folder / name for name in ("photos", "matches")}
        run(inputs, MappingConfig(**options), self.folder / out, progress)
        return read_cameras(self.folder / out), progress


def angle_deg(R: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(R).magnitude()))


def pair_errors(found: list[View], truth: list[View]) -> tuple[float, float]:
    """Mean relative rotation and direction error of all pairs in degrees."""
    true = {view.name: view for view in truth}
    rotation, direction = [], []
    for a, b in combinations(found, 2):
        got = invert_rigid(a.T_world_camera) @ b.T_world_camera
        want = invert_rigid(true[a.name].T_world_camera) @ true[b.name].T_world_camera
        rotation.append(angle_deg(got[:3, :3].T @ want[:3, :3]))
        cosine = got[:3, 3] @ want[:3, 3] / np.linalg.norm(got[:3, 3]) / np.linalg.norm(want[:3, 3])
        direction.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return float(np.mean(rotation)), float(np.mean(direction))
