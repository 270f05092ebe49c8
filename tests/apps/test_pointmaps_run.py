"""`fewview run --cameras pointmaps:PATH` from photos to cameras, and what the manifest says of the prior."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewview.apps.cli import main
from fewview.data.gallery import Room, generate, write_scene
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import read_cameras
from fewview.recon.scene import View


def _write_pointmaps(path: Path, room: Room, step: int = 8) -> None:
    """From the true depth with 2 % noise, poses a degree and some percent off, as a network would have them."""
    random = np.random.default_rng(0)
    points, poses = [], []
    for shot in room.shots:
        camera, T = shot.view.camera, shot.view.T_world_camera.copy()
        v, u = (index[step // 2 :: step, step // 2 :: step] + 0.5 for index in np.indices(shot.depth.shape))
        rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
        depth = shot.depth[step // 2 :: step, step // 2 :: step] * random.normal(1, 0.02, u.shape)
        T[:3, :3] = T[:3, :3] @ Rotation.from_rotvec(random.normal(0, 0.01, 3)).as_matrix()
        T[:3, 3] += random.normal(0, 0.03, 3)
        points.append((depth[..., None] * rays) @ T[:3, :3].T + T[:3, 3])
        poses.append(T)
    np.savez(path, photos=[shot.view.name for shot in room.shots], points=np.float32(points), poses=poses)


def _rotation_error_deg(found: list[View], truth: list[View]) -> float:
    """Greatest of all pairs."""
    errors = []
    for (a, true_a), (b, true_b) in combinations(list(zip(found, truth, strict=True)), 2):
        got, want = invert_rigid(a.T_world_camera) @ b.T_world_camera, true_a.T_camera_world @ true_b.T_world_camera
        errors.append(Rotation.from_matrix(got[:3, :3].T @ want[:3, :3]).magnitude())
    return float(np.degrees(max(errors)))


def test_run_with_pointmaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = generate(seed=3, views=3, size=(640, 480))
    write_scene(room, tmp_path / "set")
    maps, out = tmp_path / "maps.npz", tmp_path / "out"
    _write_pointmaps(maps, room)
    command = ["run", str(tmp_path / "set" / "images"), "--out", str(out), "--preset", "fast", "--until", "cameras"]
    assert main([*command, "--cameras", f"pointmaps:{maps}"]) == 0
    before, after = (read_cameras(out / stage).views for stage in ("pointmaps", "cameras"))
    assert _rotation_error_deg(before, room.views) > 0.8
    assert _rotation_error_deg(after, room.views) < 0.4
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["stages"]["cameras"]["facts"]["prior"] == "pointmaps"
    assert manifest["stages"]["cameras"]["facts"]["prior_reason"] == "`--cameras pointmaps` was asked for"
    # The contents of the file belong to the key, and `--prior` is another word for `--cameras`.
    assert main([*command, "--prior", f"pointmaps:{maps}"]) == 0
    again = json.loads((out / "manifest.json").read_text())["stages"]
    assert {again[name]["status"] for name in ("pointmaps", "cameras")} == {"cached"}
    maps.write_bytes(b"these are words")
    capsys.readouterr()
    assert main([*command, "--prior", f"pointmaps:{maps}"]) == 2
    assert "maps.npz is not a readable npz file" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("option", ["--cameras", "--prior"])
def test_a_network_that_is_not_installed(tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_scene(generate(seed=3, views=2, size=(32, 24)), tmp_path / "set")
    command = ["run", str(tmp_path / "set" / "images"), "--out", str(tmp_path / "out"), option, "mapanything"]
    assert main(command) == 2
    assert "Run pip install git+https://github.com/facebookresearch/map-anything" in " ".join(
        capsys.readouterr().err.split()
    )
