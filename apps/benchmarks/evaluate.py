"""Scores a run against true cameras and photos that it has not seen: the protocol of `fewview benchmark`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from fewview.apps.benchmarks.true_poses import align
from fewview.recon import metrics
from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.progress import LogProgress, Progress
from fewview.recon.scene import Camera, PosedImage, View

if TYPE_CHECKING:
    from fewview.apps.benchmarks.lpips import Lpips
    from fewview.data.photosets import PhotoSet
    from fewview.splatting.gaussians import Gaussians

LONG_SIDE = 512
"""Of the photos as scored, in pixels."""
POSE_STEPS = 500
"""Most steps in which a test photo's pose is optimised."""

_PYRAMID = ((4, 60), (2, 60), (1, POSE_STEPS - 120))
"""(shrinkage, most steps): small pictures first, because a pose that is pixels off sees no slope at full
size."""
_PATIENCE = 30
"""Steps without a better loss after which a level is left."""


def evaluate(
    truth: PhotoSet,
    out: Path,
    train: Sequence[str],
    test: Sequence[str],
    optimise_test_poses: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the run in `out`.

    **Cameras**, over the train photos that the run registered (`registered` counts them, `unregistered` names
    the others; nothing is made up for these): `pairs.rotation_deg` and `pairs.translation_deg` (mean and max
    over ordered pairs), `ate` (see `fewview.recon.metrics.trajectory_error`; null for fewer than 3),
    `focal_relative_error`. They are those of `splat/` where the run has it, and the same figures of
    `cameras/` are then under `before_splatting`.

    **Held-out views**, where the run has splats: `test` with each photo's pose optimised against the frozen
    Gaussians, `test_fixed_poses` with the true pose brought into the run's world by the registered train
    cameras (`fewview.apps.benchmarks.true_poses.align`). Only the pose is optimised: no exposure, no colour. Rows per
    photo are in `test_photos`. The test photo is undistorted and scored at long side 512, pixels outside the photo left
    out (for LPIPS, which needs whole images, they take the photo's colour). Its intrinsics are those that the
    run found, where the run gave one camera to all photos of that size (then the photo's own true intrinsics
    play no part); otherwise the true ones, since a photo that the run never saw has no others.

    Args:
        truth: photos and true cameras, also of the test photos.
        out: output folder of a run on the train photos.
        train, test: names of photos of `truth`; `test` may be empty.
        optimise_test_poses: else `test` is left out.

    Returns:
        JSON-serialisable. What was not computed (`--until cameras`) is absent; what is undefined is null.

    Raises:
        InputError: the run has no cameras, or a name is not in `truth`.
    """
    progress = progress or LogProgress()
    views = {view.name: view for view in truth.views}
    for name in (*train, *test):
        if name not in views:
            raise InputError(f"{truth.name} has no photo {name}.", "Name photos of its `cameras.json`.")
    figures: dict[str, Any] = {"set": truth.name, "views": len(train)}
    true_train = [views[name] for name in train]
    if not _finished(out, "splat"):
        return figures | score_cameras(true_train, read_cameras(out / "cameras"))
    found = read_cameras(out / "splat")
    figures |= score_cameras(true_train, found)
    before = score_cameras(true_train, read_cameras(out / "cameras"))
    figures["before_splatting"] = {key: before[key] for key in ("pairs", "ate", "focal_relative_error")}
    if test and figures["registered"] >= 2:
        photos = {view.name: path for view, path in zip(truth.views, truth.images, strict=True)}
        posed = place_test_photos(true_train, found, [views[name] for name in test], photos)
        figures |= _score_views(out / "splat" / "splat.ply", posed, optimise_test_poses, progress)
    return figures


def score_cameras(truth: Sequence[View], found: CameraSet) -> dict[str, Any]:
    """Pose and focal errors of the registered ones of the photos `truth`."""
    estimate = {view.name: view for view in found.views}
    registered = [view for view in truth if view.name in estimate]
    figures: dict[str, Any] = {
        "registered": len(registered),
        "unregistered": [view.name for view in truth if view.name not in estimate],
        "pairs": {"rotation_deg": _summary(np.array([])), "translation_deg": _summary(np.array([]))},
        "ate": None,
        "focal_relative_error": None,
    }
    if registered:
        cameras = [view.camera for view in registered]
        found_cameras = [estimate[view.name].camera for view in registered]
        figures["focal_relative_error"] = metrics.focal_error(cameras, found_cameras)
    if len(registered) >= 2:
        poses = np.stack([view.T_world_camera for view in registered])
        found_poses = np.stack([estimate[view.name].T_world_camera for view in registered])
        errors = metrics.pair_errors(poses, found_poses)
        figures["pairs"] = {
            "rotation_deg": _summary(errors.rotation_deg),
            "translation_deg": _summary(errors.translation_deg),
        }
        figures["ate"] = _defined(metrics.trajectory_error(poses, found_poses))
    return figures


def place_test_photos(
    train: Sequence[View], found: CameraSet, test: Sequence[View], photos: dict[str, Path]
) -> list[PosedImage]:
    """The test photos, undistorted at long side 512, with their true poses in the world of the run.

    Args:
        train: true views; those that the run registered fix the alignment.
        photos: image file by name.
    """
    estimate = {view.name: view for view in found.views}
    registered = [view for view in train if view.name in estimate]
    alignment = align(
        np.stack([view.T_world_camera for view in registered]),
        np.stack([estimate[view.name].T_world_camera for view in registered]),
    )
    out = []
    for view in test:
        camera = shared_camera(found, view.camera)
        if camera is None:
            # True intrinsics have a true principal point: the turn that makes up for a wrong one does not
            # apply.
            camera, aligned = view.camera, replace(alignment, turn=np.eye(3))
        else:
            aligned = alignment
        T = aligned.poses(view.T_world_camera[None])[0]
        out.append(_undistorted(view.name, photos[view.name], camera, T))
    return out


def shared_camera(found: CameraSet, true: Camera) -> Camera | None:
    """The intrinsics that the run gave to every photo of this size, if there are such."""
    size = (true.width, true.height)
    cameras = [view.camera for view in found.views if (view.camera.width, view.camera.height) == size]
    return cameras[0] if cameras and all(camera == cameras[0] for camera in cameras) else None


def refine_pose(gaussians: Gaussians, photo: PosedImage) -> Float[np.ndarray, "4 4"]:
    """Camera to world of `photo`, optimised from the pose it has against frozen Gaussians.

    Adam on 0.8 L1 + 0.2 (1 - SSIM), at most `POSE_STEPS` steps over a pyramid; the best pose of each level is
    kept and a level ends early once it no longer improves.
    """
    pose = photo.T_camera_world
    length = _median_depth(gaussians, pose)
    for shrinkage, steps in _PYRAMID:
        pose = _refine_level(gaussians, _shrunk(photo, shrinkage), pose, length, steps, 2e-3 * shrinkage**0.5)
    return invert_rigid(pose)


@dataclass(frozen=True)
class ViewScores:
    """Of one rendered view."""

    psnr: float
    ssim: float
    lpips: float

    def as_dict(self) -> dict[str, float | None]:
        return {"psnr": _defined(self.psnr), "ssim": _defined(self.ssim), "lpips": _defined(self.lpips)}


def score_view(
    lpips: Lpips,
    photo: Float[np.ndarray, "H W 3"],
    render: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> ViewScores:
    """Scores of a render, clipped to [0, 1], over the pixels of `mask`."""
    render = np.clip(render, 0, 1)
    whole = np.where(mask[..., None], render, photo)
    return ViewScores(metrics.psnr(photo, render, mask), metrics.ssim(photo, render, mask), lpips(photo, whole))


def _score_views(ply: Path, photos: Sequence[PosedImage], optimise: bool, progress: Progress) -> dict[str, Any]:
    from fewview.apps.benchmarks.lpips import load_lpips
    from fewview.splatting.export import read_ply

    gaussians, lpips = read_ply(ply), load_lpips(progress)
    fixed, optimised, rows = [], [], []
    for done, photo in enumerate(photos):
        progress.step(done, len(photos), "test photo")
        fixed.append(score_view(lpips, photo.image, _render(gaussians, photo), photo.mask))
        row: dict[str, Any] = {"name": photo.name, "fixed": fixed[-1].as_dict()}
        if optimise:
            there = replace(photo, T_world_camera=refine_pose(gaussians, photo))
            optimised.append(score_view(lpips, photo.image, _render(gaussians, there), photo.mask))
            row |= {"optimised": optimised[-1].as_dict()}
        rows.append(row)
    progress.step(len(photos), len(photos), "test photo")
    figures: dict[str, Any] = {"test": _mean(optimised)} if optimise else {}
    return figures | {"test_fixed_poses": _mean(fixed), "test_photos": rows}


def _render(gaussians: Gaussians, photo: PosedImage) -> Float[np.ndarray, "H W 3"]:
    import torch

    from fewview.splatting.rasterize import rasterize

    with torch.no_grad():
        pose = torch.from_numpy(photo.T_camera_world).float()
        return rasterize(gaussians, pose, photo.camera).image.numpy()


def _refine_level(
    gaussians: Gaussians,
    photo: PosedImage,
    pose: Float[np.ndarray, "4 4"],
    length: float,
    steps: int,
    rate: float,
) -> Float[np.ndarray, "4 4"]:
    """World to camera after Adam at one size of the photo."""
    import torch

    from fewview.splatting.cameras import PoseParameters
    from fewview.splatting.losses import PhotometricLoss
    from fewview.splatting.rasterize import rasterize

    parameters = PoseParameters(pose[None], length, held=())
    loss = PhotometricLoss(torch.from_numpy(photo.image), torch.from_numpy(photo.mask))
    optimizer = torch.optim.Adam(parameters.parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.05 ** (1 / steps))
    best, best_pose, best_step = math.inf, pose, 0
    for step in range(steps):
        value, _ = loss(rasterize(gaussians, parameters.view_matrix(0), photo.camera).image)
        if value.item() < best * (1 - 1e-5):
            best, best_pose, best_step = value.item(), parameters.poses()[0], step
        if step - best_step >= _PATIENCE:
            break
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        schedule.step()
    return best_pose


def _shrunk(photo: PosedImage, factor: int) -> PosedImage:
    from fewview.recon.views import shrink, shrink_mask

    width, height = max(1, photo.camera.width // factor), max(1, photo.camera.height // factor)
    camera = photo.camera.resized(width, height)
    return replace(
        photo,
        camera=camera,
        image=shrink(photo.image, width, height),
        mask=shrink_mask(photo.mask, width, height),
    )


def _undistorted(name: str, path: Path, camera: Camera, T_world_camera: Float[np.ndarray, "4 4"]) -> PosedImage:
    import cv2

    from fewview.recon.views import shrink, shrink_mask, undistort

    data = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if data is None:
        raise InputError(f"The test photo {path} cannot be decoded.", "Copy the set again.")
    image = cv2.cvtColor(data, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)
    camera = camera.resized(image.shape[1], image.shape[0])
    image, mask = undistort(image, np.ones(image.shape[:2], bool), camera)
    small = camera.pinhole().fitted(LONG_SIDE)
    size = (small.width, small.height)
    return PosedImage(name, small, T_world_camera, shrink(image, *size), shrink_mask(mask, *size))


def _median_depth(gaussians: Gaussians, T_camera_world: Float[np.ndarray, "4 4"]) -> float:
    z = gaussians.means.double().numpy() @ T_camera_world[2, :3] + T_camera_world[2, 3]
    return float(np.median(z[z > 0])) if (z > 0).any() else 1.0


def _finished(out: Path, stage: str) -> bool:
    """Whether this stage's artifact is of the run's last command, and not left over from an earlier one."""
    manifest = out / "manifest.json"
    if not manifest.is_file():
        return (out / stage).is_dir()
    stages = json.loads(manifest.read_text(encoding="utf-8"))["stages"]
    return stage in stages and stages[stage]["status"] in ("ok", "cached")


def _summary(errors: Float[np.ndarray, " P"]) -> dict[str, float | None]:
    known = errors[~np.isnan(errors)]
    return {"mean": float(known.mean()), "max": float(known.max())} if len(known) else {"mean": None, "max": None}


def _mean(scores: Sequence[ViewScores]) -> dict[str, float | None]:
    rows = [score.as_dict() for score in scores]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return {
        key: None if None in values else float(np.mean([value for value in values if value is not None]))
        for key, values in columns.items()
    }


def _defined(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
