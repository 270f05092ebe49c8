"""Sound inputs, as small as they can be, that kinds of hostile input start from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fewview.apps.cli import main
from fewview.recon.dag.artifact import Record, complete
from fewview.recon.dag.digests import FileHashes, digest_of
from fewview.recon.io.cameras import CameraSet, Verdict
from fewview.recon.io.colmap import SparsePoints, write_camera_exports
from fewview.recon.io.glb import write_glb
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera, View
from fewview.splatting.export import write_ply
from fewview.splatting.gaussians import Gaussians
from tests.calibration.small_rig import people_of, ring, seen_by, walker, write_openpose
from tests.hostile.kinds import Place

SIZE = (320, 240)
NAMES = ("a.jpg", "b.jpg", "c.jpg")


@dataclass(frozen=True)
class Sound:
    """Read-only inputs, see `Place`."""

    photos: Path
    rig: Path
    run: Path

    def place(self, folder: Path) -> Place:
        """Copies to spoil, in an empty folder."""
        for name in ("photos", "rig", "run"):
            shutil.copytree(getattr(self, name), folder / name)
        return Place(folder / "photos", folder / "rig", folder / "run", folder / "out")


def write_noise(folder: Path) -> None:
    """Photos of nothing: good enough where nothing is matched."""
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        noise = np.random.default_rng(seed).uniform(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.float32)
        assert cv2.imwrite(str(folder / name), cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8))


def write_rig(folder: Path) -> None:
    """Three cameras' OpenPose JSON of somebody who turns."""
    for k, view in enumerate(ring(3)):
        write_openpose(folder / f"cam{k + 1}", people_of(seen_by(view, walker(20)), "BODY_25"))


def write_run(out: Path, photos: Path) -> None:
    """As much of a finished run on `photos` as `export`, `render` and `evaluate` read; its contents are made up."""
    assert main(["run", str(photos), "--out", str(out), "--until", "photos"]) == 0
    views = []
    for k, name in enumerate(NAMES):
        T = np.eye(4)
        T[0, 3] = 0.2 * k
        views.append(View(name, Camera(*SIZE, 300.0, 300.0, 160.0, 120.0), T))
    cameras = CameraSet(views, verdicts=[Verdict(name, True) for name in NAMES])
    tracks = [[(0, np.array([10.0, 20.0])), (1, np.array([12.0, 21.0]))]]
    points = SparsePoints(np.ones((1, 3)), np.zeros((1, 3), np.uint8), np.ones(1), tracks)
    for stage in ("cameras", "splat", "mesh", "renders"):
        (out / stage).mkdir()
    write_camera_exports(out / "cameras", cameras, points)
    write_camera_exports(out / "splat", cameras, points)
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(50, 3, generator=generator) + torch.tensor([0.0, 0, 4])
    colours = torch.randn(50, 1, 3, generator=generator)
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(50, 1)
    write_ply(out / "splat" / "splat.ply", Gaussians(means, quats, torch.full((50, 3), -2.0), torch.zeros(50), colours))
    triangle = np.array([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]])
    write_glb(out / "mesh" / "mesh.glb", triangle, np.array([[0, 1, 2]]), np.full((3, 3), 9, np.uint8), np.eye(4))
    (out / "renders" / "path.mp4").write_bytes(b"film")
    for stage in ("cameras", "splat", "mesh", "renders"):
        _finish(out, stage)


def _finish(out: Path, stage: str) -> None:
    files = FileHashes(out / ".work" / "hashes.json", out).folder(out / stage)
    ingredients = {"version": 1, "config": None, "inputs": {}, "sources": [], "weights": []}
    complete(out / stage, Record(stage, "key", ingredients, files, digest_of(files), 1.0, None, 1, {}, []))


def no_matches(inputs: Mapping[str, Path], config: Any, out: Path, progress: Progress) -> None:
    """Stage `matches` that finds nothing, at once."""
    (out / "features").mkdir()
    for photo in load_photos(inputs["photos"]):
        none = np.zeros((0, 2), np.float32)
        np.savez(out / "features" / f"{photo.key}.npz", keypoints=none, scores=none[:, 0])
    (out / "pairs.json").write_text('{"matcher": "sift", "pairs": []}')
