"""The benchmark's protocol on Gaussians whose photos are their own renders, so that a perfect run scores
so."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewview.apps.benchmarks.evaluate import evaluate
from fewview.apps.benchmarks.true_poses import align
from fewview.data.photosets import PhotoSet
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, write_cameras
from fewview.recon.scene import Camera, View
from fewview.splatting.export import write_ply
from fewview.splatting.gaussians import SH_C0, Gaussians
from fewview.splatting.rasterize import rasterize

CAMERA = Camera(128, 96, 110.0, 110.0, 64.0, 48.0)
TRAIN = ["p0.png", "p2.png", "p4.png", "p6.png"]
TEST = ["p1.png", "p3.png"]
SCALE, SHIFT = 3.0, np.array([5.0, -2.0, 1.0])
TURN = Rotation.from_euler("xyz", [20, -50, 100], degrees=True).as_matrix()


def _look(angle: float) -> np.ndarray:
    """On an arc around the origin, not all at one height, looking at it."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("yx", [angle, 0.1 * math.sin(5 * angle)]).as_matrix()
    T[:3, 3] = T[:3, :3] @ [0, 0, -4.0]
    return T


def _scene() -> Gaussians:
    """Blobs on a wavy sheet; the same colour from everywhere."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(-2.5, 2.5, (2500, 2))
    means = np.concatenate([xy, 0.6 * np.sin(xy[:, :1] * 2) * np.cos(xy[:, 1:])], 1)
    colors = np.clip(0.5 + 0.5 * np.sin(xy[:, :1] * [3, 4, 5] + xy[:, 1:] * [5, 3, 4]), 0.05, 0.95)
    return Gaussians(
        means=torch.tensor(means).float(),
        quats=torch.nn.functional.normalize(torch.tensor(rng.standard_normal((2500, 4))).float(), dim=1),
        log_scales=torch.full((2500, 3), math.log(0.06)),
        logit_opacities=torch.full((2500,), 2.0),
        sh=torch.tensor((colors - 0.5) / SH_C0).float()[:, None],
    )


def _moved(scene: Gaussians) -> Gaussians:
    """The scene in another frame and unit (its Gaussians are round, so their axes need not turn)."""
    means = SCALE * scene.means.double().numpy() @ TURN.T + SHIFT
    return replace(scene, means=torch.tensor(means).float(), log_scales=scene.log_scales + math.log(SCALE))


def _moved_pose(T: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = TURN @ T[:3, :3]
    out[:3, 3] = SCALE * TURN @ T[:3, 3] + SHIFT
    return out


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    folder = tmp_path_factory.mktemp("set")
    images, views = [], []
    for index, angle in enumerate(np.linspace(-0.45, 0.45, 7)):
        T = _look(float(angle))
        pose = torch.from_numpy(np.linalg.inv(T)).float()
        image = rasterize(_scene(), pose, CAMERA).image.clamp(0, 1).numpy()
        images.append(folder / f"p{index}.png")
        assert cv2.imwrite(str(images[-1]), np.round(image[..., ::-1] * 255).astype(np.uint8))
        views.append(View(images[-1].name, CAMERA, T))
    return PhotoSet("blobs", images, views, "metre")


def _views(truth: PhotoSet) -> list[View]:
    """What a perfect run finds of the train photos, in its own frame."""
    by_name = {view.name: view for view in truth.views}
    return [replace(by_name[name], T_world_camera=_moved_pose(by_name[name].T_world_camera)) for name in TRAIN]


def _run(out: Path, views: list[View], splat: list[View] | None = None) -> Path:
    """The output of a run: `cameras/`, and `splat/` where its cameras are given."""
    stages = {"cameras": views} | ({} if splat is None else {"splat": splat})
    for stage, found in stages.items():
        (out / stage).mkdir(parents=True)
        write_cameras(out / stage, CameraSet(found))
    if splat is not None:
        write_ply(out / "splat" / "splat.ply", _moved(_scene()))
    status: dict[str, Any] = {name: {"status": "ok"} for name in stages}
    (out / "manifest.json").write_text(json.dumps({"stages": status}))
    return out


def test_a_perfect_run(truth: PhotoSet, tmp_path: Path) -> None:
    views = _views(truth)
    figures = evaluate(truth, _run(tmp_path, views, views), TRAIN, TEST, optimise_test_poses=False)
    assert (figures["set"], figures["views"], figures["registered"], figures["unregistered"]) == (
        "blobs",
        4,
        4,
        [],
    )
    for errors in figures["pairs"].values():
        assert errors["max"] < 1e-6
    assert figures["ate"] < 1e-12
    assert figures["focal_relative_error"] == 0
    assert "test" not in figures
    assert figures["test_fixed_poses"]["psnr"] > 55, "nothing but the rounding to 8 bits"
    assert figures["test_fixed_poses"]["ssim"] > 0.999
    assert figures["test_fixed_poses"]["lpips"] < 1e-3
    assert [row["name"] for row in figures["test_photos"]] == TEST
    json.dumps(figures, allow_nan=False)


def test_optimised_poses_recover_from_a_bad_alignment(truth: PhotoSet, tmp_path: Path) -> None:
    """Train cameras that lean 1.5 degrees to either side misplace the test photo; the splats are perfect."""
    lean = Rotation.from_euler("y", 1.5, degrees=True).as_matrix()
    wrong = [
        replace(view, T_world_camera=_with_rotation(view.T_world_camera, view.T_world_camera[:3, :3] @ R))
        for view, R in zip(_views(truth), [lean, lean, lean.T, lean.T], strict=True)
    ]
    for view in wrong:
        view.T_world_camera[:3, 3] += 0.1
    wrong[0].T_world_camera[:3, 3] -= 0.25
    figures = evaluate(truth, _run(tmp_path, wrong, wrong), TRAIN, TEST[:1])
    assert figures["pairs"]["rotation_deg"]["max"] == pytest.approx(3, abs=0.02)
    assert figures["test"]["psnr"] > figures["test_fixed_poses"]["psnr"] + 10
    assert figures["test"]["psnr"] > 40
    assert figures["test"]["ssim"] > figures["test_fixed_poses"]["ssim"]
    assert figures["test"]["lpips"] < figures["test_fixed_poses"]["lpips"]


def test_a_displaced_principal_point_is_no_error_of_the_pictures(truth: PhotoSet, tmp_path: Path) -> None:
    """A run whose principal point is 3 px off turns its cameras by as much, and renders the same."""
    off = math.atan(3 / CAMERA.fx)
    turn = Rotation.from_euler("y", off).as_matrix()
    found = [
        View(
            view.name,
            replace(CAMERA, cx=67.0),
            _with_rotation(view.T_world_camera, view.T_world_camera[:3, :3] @ turn),
        )
        for view in _views(truth)
    ]
    figures = evaluate(truth, _run(tmp_path, found, found), TRAIN, TEST[:1], optimise_test_poses=False)
    # Not perfect: a turn moves the picture's corners a little differently than a shift does.
    assert figures["test_fixed_poses"]["psnr"] > 30
    plain = [replace(view, camera=replace(CAMERA, cx=67.0)) for view in _views(truth)]
    worse = evaluate(truth, _run(tmp_path / "plain", plain, plain), TRAIN, TEST[:1], optimise_test_poses=False)
    assert worse["test_fixed_poses"]["psnr"] < figures["test_fixed_poses"]["psnr"] - 6


def test_until_cameras_leaves_out_what_was_not_computed(truth: PhotoSet, tmp_path: Path) -> None:
    views = _views(truth)
    turned = [replace(views[0]), *views[1:]]
    R = views[0].T_world_camera[:3, :3] @ Rotation.from_euler("z", 2, degrees=True).as_matrix()
    turned[0] = replace(views[0], T_world_camera=_with_rotation(views[0].T_world_camera, R))
    out = _run(tmp_path, turned, views)
    stages = {"cameras": {"status": "ok"}, "splat": {"status": "skipped"}}
    (out / "manifest.json").write_text(json.dumps({"stages": stages}))
    figures = evaluate(truth, out, TRAIN, TEST)
    assert not {"test", "test_fixed_poses", "before_splatting"} & set(figures)
    assert figures["pairs"]["rotation_deg"]["max"] == pytest.approx(2)
    assert figures["pairs"]["rotation_deg"]["mean"] == pytest.approx(1), "half of the pairs have that camera"


def test_unregistered_photos_are_counted_and_not_scored(truth: PhotoSet, tmp_path: Path) -> None:
    views = _views(truth)
    figures = evaluate(truth, _run(tmp_path / "two", views[:2]), TRAIN, TEST)
    assert figures["registered"] == 2
    assert figures["unregistered"] == TRAIN[2:]
    assert figures["pairs"]["translation_deg"]["max"] < 1e-6
    assert figures["ate"] is None, "two centres can always be brought together"
    figures = evaluate(truth, _run(tmp_path / "one", views[:1]), TRAIN, TEST)
    assert figures["pairs"]["rotation_deg"] == {"mean": None, "max": None}
    assert figures["focal_relative_error"] == 0


def test_names_that_the_set_does_not_hold(truth: PhotoSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"blobs has no photo other\.png"):
        evaluate(truth, tmp_path, TRAIN, ["other.png"])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 7), scale=st.floats(0.01, 100), in_a_row=st.booleans())
def test_alignment_is_exact_on_exact_cameras(seed: int, count: int, scale: float, in_a_row: bool) -> None:
    """Two cameras, or cameras in a row, whose centres alone leave a rotation free."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
    poses[:, :3, 3] = rng.standard_normal((count, 1)) * [1, 2, 3] if in_a_row else rng.standard_normal((count, 3))
    R, t = Rotation.random(random_state=seed + 1).as_matrix(), rng.uniform(-9, 9, 3)
    there = poses.copy()
    there[:, :3, :3] = R @ poses[:, :3, :3]
    there[:, :3, 3] = scale * poses[:, :3, 3] @ R.T + t
    found = align(poses, there)
    assert np.abs(found.poses(poses)[:, :3, :3] - there[:, :3, :3]).max() < 1e-6
    assert np.abs(found.poses(poses)[:, :3, 3] - there[:, :3, 3]).max() < 1e-6 * scale * 10


def test_one_camera_astray_does_not_spoil_the_alignment() -> None:
    poses = np.stack([_look(float(angle)) for angle in np.linspace(-0.6, 0.6, 6)])
    found = np.stack([_moved_pose(T) for T in poses])
    found[3, :3, 3] += 2.0
    found[3, :3, :3] = found[3, :3, :3] @ Rotation.from_euler("x", 25, degrees=True).as_matrix()
    error = align(poses, found).poses(poses)[[0, 1, 2, 4, 5]] - found[[0, 1, 2, 4, 5]]
    assert np.abs(error[:, :3, 3]).max() < 0.02 * SCALE


def test_alignment_refuses_what_fixes_no_scale() -> None:
    with pytest.raises(ValueError, match="cannot align 1"):
        align(np.eye(4)[None], np.eye(4)[None])
    same = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(ValueError, match="one place"):
        align(same, same)


def _with_rotation(T: np.ndarray, R: np.ndarray) -> np.ndarray:
    out = T.copy()
    out[:3, :3] = R
    return out
