"""A small rig with exact truth for tests of files and stages; `fewview.data.people` has the realistic ones."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from fewview.calibration.inputs.skeletons import SKELETONS
from fewview.calibration.observations import Detections, Motion, Rig
from fewview.calibration.skeleton import INDEX, JOINTS
from fewview.recon.scene import Camera, View

SIZE = (640, 480)


def ring(count: int = 4, distortion: tuple[float, ...] = (-0.1, 0.02, 0.001, -0.002)) -> list[View]:
    """Cameras on a circle of 3 m, 1.5 m above the floor (y down), looking at a person's hips."""
    views = []
    for i in range(count):
        angle = 2 * np.pi * i / count + 0.1
        center = np.array([3 * np.sin(angle), -1.5, 3 * np.cos(angle)])
        forward = np.array([0.0, -0.9, 0.0]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = np.stack([right, np.cross(forward, right), forward], axis=1), center
        camera = Camera(*SIZE, 500 + 10 * i, 505 + 10 * i, 322.0, 238.5, distortion)
        views.append(View(f"cam{i + 1:02d}", camera, T))
    return views


def walker(frames: int = 20, seed: int = 0) -> np.ndarray:
    """Joints (T, 1, J, 3) of somebody who turns and sways; heights are right, proportions rough."""
    heights = {"nose": 1.6, "eye": 1.63, "ear": 1.62, "shoulder": 1.4, "elbow": 1.15, "wrist": 0.95, "hip": 0.9}
    heights |= {"knee": 0.5, "ankle": 0.08, "big_toe": 0.02, "small_toe": 0.02, "heel": 0.03}
    widths = {"nose": 0.0, "eye": 0.03, "ear": 0.08, "shoulder": 0.2, "elbow": 0.3, "wrist": 0.35}
    rng = np.random.default_rng(seed)
    body = []
    for name in JOINTS:
        side, bare = (1 if name.startswith("left_") else -1), name.removeprefix("left_").removeprefix("right_")
        body.append([side * widths.get(bare, 0.1), -heights[bare], 0.15 if "toe" in bare or bare == "nose" else 0.0])
    out = []
    for t in range(frames):
        turn = Rotation.from_rotvec([0, 0.1 * t, 0]).as_matrix()
        out.append((np.array(body) + rng.normal(0, 0.03, (len(JOINTS), 3))) @ turn.T + [0.3 * np.sin(0.2 * t), 0, 0])
    return np.array(out)[:, None]


def seen_by(view: View, xyz: np.ndarray, fps: float = 30.0) -> Detections:
    """Exact projections by OpenCV."""
    points = xyz.reshape(-1, 3)
    T = view.T_camera_world
    # Matrix and pixels have the same convention, so the half pixel is in both.
    xy, _ = cv2.projectPoints(
        points, cv2.Rodrigues(T[:3, :3])[0], T[:3, 3], view.camera.matrix, np.array(view.camera.distortion)
    )
    shape = xyz.shape[:3]
    confidence = np.full(shape, 0.9, np.float32)
    size = (view.camera.width, view.camera.height)
    return Detections(view.name, size, fps, xy.reshape(*shape, 2).astype(np.float32), confidence)


def people_of(camera: Detections, skeleton: str) -> np.ndarray:
    """As a detector writes it: (F, P, K, 3), pixel centres at integers, zeros where absent."""
    layout = SKELETONS[skeleton]
    people = np.zeros((*camera.confidence.shape[:2], layout.joints, 3))
    for joint, place in layout.places.items():
        xy, confidence = camera.xy[:, :, INDEX[joint]] - 0.5, camera.confidence[:, :, INDEX[joint]]
        people[:, :, place, :2] = np.where(confidence[..., None] > 0, xy, 0)
        people[:, :, place, 2] = confidence
    if skeleton == "BODY_25":
        people[:, :, 8] = (people[:, :, 9] + people[:, :, 12]) / 2
    return people


def write_openpose(folder: Path, people: np.ndarray, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for frame, persons in enumerate(people):
        entries = [{"pose_keypoints_2d": person.ravel().tolist()} for person in persons if person[:, 2].any()]
        path = folder / f"{folder.name}_{frame + first:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": entries}))


def solved(views: list[View], xyz: np.ndarray) -> tuple[Rig, Motion]:
    """What a perfect calibration returns."""
    facts: dict[str, object] = {
        "reprojection_px": 1.5,
        "reprojection_px_by_camera": {view.name: 1.5 for view in views},
        "reprojection_px_by_pair": {f"{a.name} {b.name}": 1.5 for a, b in combinations(views, 2)},
        "degeneracies": {"planar": "All motion is in one plane."},
        "untied_pairs": {},
    }
    rig = Rig(views, {view.name: 0.0 for view in views}, {}, "metre", "height 1.70 m", 0.01, facts)
    shape = xyz.shape[:3]
    return rig, Motion(30.0, 0.0, xyz, np.ones(shape), np.full(shape, len(views)))
