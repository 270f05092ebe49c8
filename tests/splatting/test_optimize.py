"""Joint optimisation on a tiny room with exact truth: what is asked of it, and what it must leave alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from scipy.spatial.transform import Rotation

from fewview.recon.errors import EnvironmentFault, InputError, ReconstructionError
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import read_cameras
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View
from fewview.recon.views import load_posed
from fewview.splatting.config import SplatConfig
from fewview.splatting.dropout import dropped_out
from fewview.splatting.export import read_ply
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.initialize import PointCloud, gaussians_from_points, in_own_view, read_points, thinned
from fewview.splatting.optimize import choose_device, run
from fewview.splatting.rasterize import rasterize
from fewview.splatting.regularize import SurfaceLoss, SurfacePrior
from fewview.splatting.training import dropout_share

# Poses start off by a degree here, so they need larger steps than those that mapping leaves.
CONFIG = SplatConfig(steps=150, budget=8000, rate_pose=5e-4)


def perturbed(view: View, index: int) -> View:
    """Off by one degree and 0.02, about a pixel and a half in the picture; the first is exact."""
    rng = np.random.default_rng(index)
    T = view.T_world_camera.copy()
    if index:
        T[:3, :3] = T[:3, :3] @ Rotation.from_rotvec(np.radians(1.0) * unit(rng)).as_matrix()
        T[:3, 3] += 0.02 * unit(rng)
    return replace(view, T_world_camera=T)


def unit(rng: np.random.Generator) -> np.ndarray:
    v = rng.normal(size=3)
    return v / np.linalg.norm(v)


def off_px(seen: tiny.TinyView, T_world_camera: np.ndarray) -> float:
    """Median distance between where a pose shows the true surface points and where they are."""
    camera = seen.view.camera
    local = (seen.points - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
    shown = local[..., :2] / local[..., 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return float(np.median(np.linalg.norm(shown - np.stack([u, v], -1), axis=-1)))


@pytest.fixture(scope="module")
def views() -> list[tiny.TinyView]:
    return [tiny.look(f"{index}.jpg", T) for index, T in enumerate(tiny.poses(4))]


Trainer = Callable[..., tuple[Path, LogProgress]]


@pytest.fixture(scope="module")
def trainer(views: list[tiny.TinyView], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Runs the stage on the room with perturbed poses."""

    def train(
        config: SplatConfig = CONFIG,
        mask: np.ndarray | None = None,
        cameras: list[View] | None = None,
        given: tuple[str, ...] = (),
    ) -> tuple[Path, LogProgress]:
        folder = tmp_path_factory.mktemp("run")
        tiny.write_photos(folder / "photos", views, mask)
        cameras = cameras or [perturbed(v.view, i) for i, v in enumerate(views)]
        tiny.write_camera_artifact(folder / "cameras", cameras, given=given)
        tiny.write_depth(folder / "depth", views, mask)
        (folder / "splat").mkdir()
        progress = LogProgress()
        inputs = {name: folder / name for name in ("photos", "cameras", "depth")}
        run(inputs, config, folder / "splat", progress)
        return folder, progress

    return train


@pytest.fixture(scope="module")
def trained(trainer: Trainer) -> tuple[Path, LogProgress]:
    return trainer()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))


def test_perturbed_poses_are_recovered_and_pictures_get_better(
    trained: tuple[Path, LogProgress], views: list[tiny.TinyView]
) -> None:
    folder, _ = trained
    before, after = read_cameras(folder / "cameras"), read_cameras(folder / "splat")
    np.testing.assert_array_equal(after.views[0].T_world_camera, before.views[0].T_world_camera)
    for seen, start, end in list(zip(views, before.views, after.views, strict=True))[1:]:
        assert off_px(seen, end.T_world_camera) < 0.45 * off_px(seen, start.T_world_camera)
    gaussians = read_ply(folder / "splat" / "splat.ply")
    for posed in load_posed(folder / "photos", folder / "splat", 512):
        with torch.no_grad():
            image = rasterize(gaussians, torch.from_numpy(posed.T_camera_world).float(), posed.camera).image
        assert psnr(image.numpy(), posed.image) > 32
    curve = json.loads((folder / "splat" / "training.json").read_text())["curve"]
    assert np.mean(curve["psnr"][-8:]) > np.mean(curve["psnr"][:8]) + 6
    assert len(curve["steps"]) == len(curve["loss"]) == curve["steps"][-1]


def test_a_new_view_is_predicted(trained: tuple[Path, LogProgress]) -> None:
    T = 0.5 * (tiny.poses(4)[1] + tiny.poses(4)[2])
    T[:3, :3] = Rotation.from_matrix(tiny.poses(4)[1][:3, :3]).as_matrix()
    truth = tiny.look("new", T)
    gaussians = read_ply(trained[0] / "splat" / "splat.ply")
    with torch.no_grad():
        seen = rasterize(gaussians, torch.from_numpy(invert_rigid(T)).float(), tiny.CAMERA, median_depth=True)
    assert psnr(seen.image.numpy(), truth.image) > 27
    assert seen.median_depth is not None
    error = np.abs(seen.median_depth.numpy() / truth.depth - 1)
    assert np.nanmedian(error) < 0.02


def test_same_configuration_gives_the_same_bytes(trained: tuple[Path, LogProgress], trainer: Trainer) -> None:
    again, _ = trainer()
    for file in sorted(trained[0].joinpath("splat").rglob("*")):
        if file.is_file():
            other = again / file.relative_to(trained[0])
            assert file.read_bytes() == other.read_bytes(), file.name


def test_gaussians_are_added_within_the_budget(trained: tuple[Path, LogProgress], trainer: Trainer) -> None:
    grown = json.loads((trained[0] / "splat" / "training.json").read_text())["curve"]["gaussians"]
    assert grown[-1] > grown[0] + 0.2 * CONFIG.budget
    without, _ = trainer(replace(CONFIG, steps=5, grow=0.0, backdrop=False))
    fixed = json.loads((without / "splat" / "training.json").read_text())["curve"]["gaussians"]
    assert len(set(fixed)) == 1
    bare, _ = trainer(replace(CONFIG, steps=60, backdrop=False))
    assert json.loads((bare / "splat" / "training.json").read_text())["curve"]["gaussians"][-1] <= CONFIG.budget


def test_steps_leave_out_gaussians_by_the_number_of_photos_and_the_last_ones_none(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []

    def recorded(gaussians: Gaussians, share: float, random: torch.Generator) -> Gaussians:
        shares.append(share)
        return dropped_out(gaussians, share, random)

    monkeypatch.setattr("fewview.splatting.training.dropped_out", recorded)
    config = replace(CONFIG, steps=9, backdrop=False, view_weights={"3.jpg": 0.0})
    with_dropout, _ = trainer(config)
    assert shares == pytest.approx([1 / 3] * 6 + [0.0] * 3)
    without, _ = trainer(replace(config, dropout=0.0))
    assert shares[9:] == [0.0] * 9
    curves = [json.loads((f / "splat" / "training.json").read_text())["curve"] for f in (with_dropout, without)]
    assert abs(curves[0]["psnr"][0] - curves[1]["psnr"][0]) > 0.1, "the first step draws another picture"
    assert [dropout_share(1.0, views) for views in (1, 6, 12)] == [0.5, 0.0, 0.0]
    assert 0 < dropout_share(1.0, 5) < dropout_share(1.0, 4) < dropout_share(1.0, 3)


def test_a_wrong_focal_length_is_corrected_on_request(trainer: Trainer, views: list[tiny.TinyView]) -> None:
    true = views[0].view.camera.fx
    start = [replace(v.view, camera=replace(v.view.camera, fx=0.97 * true, fy=0.97 * true)) for v in views]
    given, _ = trainer(replace(CONFIG, steps=100), cameras=start)
    assert {view.camera.fx for view in read_cameras(given / "splat").views} == {0.97 * true}
    refined, _ = trainer(replace(CONFIG, steps=100, refine_focal=True), cameras=start)
    found = {view.camera.fx for view in read_cameras(refined / "splat").views}
    assert len(found) == 1, "one camera, one focal length"
    assert abs(found.pop() / true - 1) < 0.6 * 0.03


def test_a_photo_of_weight_0_has_no_say(trainer: Trainer, views: list[tiny.TinyView]) -> None:
    config = replace(CONFIG, steps=12, grow=0.0, view_weights={"2.jpg": 0.0})
    clean, _ = trainer(config)
    shown = views[2].image.copy()
    try:
        views[2].image[10:40, 20:50] = [1.0, 0.0, 1.0]
        painted, _ = trainer(config)
    finally:
        views[2].image[:] = shown
    # The points that it saw are there all the same, so the splats differ, but no step was taken on it.
    for folder in (clean, painted):
        before, after = read_cameras(folder / "cameras").views[2], read_cameras(folder / "splat").views[2]
        np.testing.assert_allclose(after.T_world_camera, before.T_world_camera, atol=1e-12)
    with pytest.raises(InputError, match=r"names 9\.jpg, which is no registered photo\. Choose from 0\.jpg, 1\.jpg"):
        trainer(replace(config, view_weights={"9.jpg": 1.0}))
    with pytest.raises(InputError, match="leaves no photo"):
        trainer(replace(config, view_weights={f"{index}.jpg": 0.0 for index in range(4)}))


def test_the_second_best_device_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = LogProgress()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        "fewview.splatting.optimize.cuda_fault", lambda: EnvironmentFault("gsplat does not load.", "Fix.")
    )
    assert choose_device(SplatConfig(), progress) == torch.device("cpu")
    assert progress.fallbacks == [{"wanted": "cuda", "used": "cpu", "reason": "gsplat does not load."}]
    with pytest.raises(EnvironmentFault, match="gsplat does not load"):
        choose_device(SplatConfig(device="cuda"), progress)
    with pytest.raises(InputError, match="cannot refine focal lengths on CUDA"):
        choose_device(SplatConfig(device="cuda", refine_focal=True), progress)
    monkeypatch.setattr("fewview.splatting.optimize.cuda_fault", lambda: None)
    assert choose_device(SplatConfig(), progress) == torch.device("cuda")
    assert choose_device(SplatConfig(device="cpu"), progress) == torch.device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_both_devices_settle_on_the_same_scene(trainer: Trainer) -> None:
    pictures = []
    for device in ("cpu", "cuda"):
        folder, progress = trainer(replace(CONFIG, steps=60, device=device))
        assert progress.facts["backend"] == device
        gaussians = read_ply(folder / "splat" / "splat.ply")
        posed = load_posed(folder / "photos", folder / "splat", 512)[1]
        with torch.no_grad():
            pictures.append(rasterize(gaussians, torch.from_numpy(posed.T_camera_world).float(), posed.camera).image)
    assert psnr(pictures[0].numpy(), pictures[1].numpy()) > 35


def test_held_poses_stay(trainer: Trainer) -> None:
    folder, _ = trainer(replace(CONFIG, steps=5, refine_poses=False))
    before, after = read_cameras(folder / "cameras"), read_cameras(folder / "splat")
    for start, end in zip(before.views, after.views, strict=True):
        np.testing.assert_array_equal(end.T_world_camera, start.T_world_camera)


def test_poses_that_the_user_gave_stay_and_the_others_move(trainer: Trainer) -> None:
    folder, _ = trainer(replace(CONFIG, steps=8), given=("1.jpg", "2.jpg"))
    before, after = read_cameras(folder / "cameras"), read_cameras(folder / "splat")
    assert after.given == ("1.jpg", "2.jpg")
    for start, end in zip(before.views, after.views, strict=True):
        stays = np.array_equal(end.T_world_camera, start.T_world_camera)
        assert stays == (start.name in after.given)


def test_exports_agree_with_each_other(trained: tuple[Path, LogProgress]) -> None:
    folder, progress = trained
    facts = json.loads((folder / "splat" / "training.json").read_text())
    assert facts["gaussians"] == read_ply(folder / "splat" / "splat.ply").count == progress.facts["gaussians"]
    gains = np.array([entry["gain"] for entry in facts["exposure"].values()])
    np.testing.assert_allclose(np.log(gains).mean(0), 0, atol=1e-6)
    frames = json.loads((folder / "splat" / "transforms.json").read_text())["frames"]
    views = read_cameras(folder / "splat").views
    for frame, view in zip(frames, views, strict=True):
        assert frame["file_path"] == view.name
        np.testing.assert_allclose(np.array(frame["transform_matrix"])[:3, 3], view.center, atol=1e-9)


def test_masked_pixels_have_no_say(trainer: Trainer, views: list[tiny.TinyView]) -> None:
    mask = np.ones(views[0].depth.shape, bool)
    mask[20:44, 30:60] = False
    config = replace(CONFIG, steps=12)
    clean, _ = trainer(config, mask)
    shown = [seen.image.copy() for seen in views]
    for seen in views:
        seen.image[~mask] = [1.0, 0.0, 1.0]
    try:
        painted, _ = trainer(config, mask)
    finally:
        for seen, image in zip(views, shown, strict=True):
            seen.image[:] = image
    for name in ("splat.ply", "cameras.json", "training.json"):
        assert (clean / "splat" / name).read_bytes() == (painted / "splat" / name).read_bytes()


def test_no_points_is_said(trainer: Trainer, views: list[tiny.TinyView], tmp_path: Path) -> None:
    tiny.write_photos(tmp_path / "photos", views)
    tiny.write_camera_artifact(tmp_path / "cameras", [v.view for v in views])
    tiny.write_depth(tmp_path / "depth", views)
    with np.load(tmp_path / "depth" / "points.npz") as file:
        np.savez(tmp_path / "depth" / "points.npz", **{name: file[name][:0] for name in file.files})
    inputs = {name: tmp_path / name for name in ("photos", "cameras", "depth")}
    with pytest.raises(ReconstructionError, match=r"found no surface points.*Add photos that show the same things"):
        run(inputs, CONFIG, tmp_path, LogProgress())


def test_thinning_keeps_coverage_and_initial_discs_lie_on_their_surface(
    trained: tuple[Path, LogProgress], views: list[tiny.TinyView]
) -> None:
    points = read_points(trained[0] / "depth")
    posed = load_posed(trained[0] / "photos", trained[0] / "cameras", 512)
    pixels, size = in_own_view(points, posed)
    np.testing.assert_allclose(size, 2 * points.radius, rtol=0.02)
    few = thinned(points, pixels, 3000)
    assert 0.8 * 3000 < len(few) <= 3000
    half = replace(points, verified=pixels[:, 0] < tiny.CAMERA.width / 2)
    uneven = thinned(half, pixels, 3000, coarseness=3.0)
    assert len(uneven) <= 3000
    assert 6 < uneven.verified.sum() / (~uneven.verified).sum() < 12
    np.testing.assert_allclose(uneven.radius.max() / uneven.radius.min(), 3 * size.max() / size.min(), rtol=0.2)
    gaussians = gaussians_from_points(few, 0)
    with torch.no_grad():
        seen = rasterize(gaussians, torch.from_numpy(views[1].view.T_camera_world).float(), tiny.CAMERA)
    assert np.quantile(seen.alpha, 0.01) > 0.6
    assert np.median(np.abs((seen.depth / seen.alpha).numpy() / views[1].depth - 1)) < 0.01


def test_a_point_without_normal_becomes_a_ball() -> None:
    nan = np.full((1, 3), np.nan)
    one = np.ones(1)
    points = PointCloud(np.zeros((1, 3)), np.zeros((1, 3), np.uint8), nan, one, one, one > 0, np.zeros(1, int))
    gaussians = gaussians_from_points(points, 2)
    assert gaussians.degree == 2
    assert torch.equal(gaussians.log_scales[0], gaussians.log_scales[0, :1].expand(3))


def test_depth_loss_pulls_verified_pixels_only() -> None:
    depth, weight = np.full((2, 2), 2.0, np.float32), np.array([[1, 1], [0, 0.5]], np.float32)
    rendered = torch.tensor([[2.04, 4.0], [2.04, 2.04]], requires_grad=True)
    alpha = torch.ones(2, 2)
    prior = SurfacePrior(depth, np.zeros((2, 2, 3), np.float32), weight)
    loss = SurfaceLoss(prior).depth(rendered, alpha)
    loss.backward()
    # An error of 2 % counts by its weight, one of 100 % as the limit and without a pull.
    assert loss.item() == pytest.approx((0.02 + SurfaceLoss.limit + 0.5 * 0.02) / 4, rel=1e-4)
    np.testing.assert_allclose(rendered.grad, [[0.125, 0], [0, 0.0625]], rtol=1e-5)


def test_normal_loss_turns_verified_pixels_only() -> None:
    facing = np.array([0, 0, -1], np.float32)
    known = np.array([[facing, facing], [0 * facing, facing]])
    weight = np.array([[1, 1], [1, 0]], np.float32)
    tilted = torch.tensor([0.6, 0.0, -0.8])
    rendered = torch.stack([-torch.eye(3)[2], tilted, tilted, tilted]).reshape(2, 2, 3).requires_grad_()
    loss = SurfaceLoss(SurfacePrior(np.ones((2, 2), np.float32), known, weight)).normal(rendered, torch.ones(2, 2))
    loss.backward()
    # Pixels of unknown normal and of no confidence have no say; the second is off by a cosine of 0.8.
    assert loss.item() == pytest.approx(0.2 / 4, rel=1e-5)
    np.testing.assert_allclose(rendered.grad[..., 2], [[0.25, 0.25], [0, 0]])
