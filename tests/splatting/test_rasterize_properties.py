"""What holds for any input of `rasterize`: a named error or finite pictures, the same bits for any threads, no leak."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fewview.recon.scene import Camera
from fewview.splatting._cpu import library
from fewview.splatting.adam import FusedAdam
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.losses import PhotometricLoss
from fewview.splatting.rasterize import Rendering, rasterize

NAMES = ("means", "quats", "log_scales", "logit_opacities", "sh")


def random_scene(count: int, degree: int, seed: int) -> Gaussians:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    means = normal(count, 3) + torch.tensor([0.0, 0, 2])
    return Gaussians(
        means, normal(count, 4), normal(count, 3) - 2, 2 * normal(count), 0.3 * normal(count, (degree + 1) ** 2, 3)
    )


def maps(seen: Rendering) -> list[Tensor]:
    assert seen.normal is not None
    return [seen.image, seen.alpha, seen.depth, seen.normal]


cameras = st.builds(
    lambda w, h, f, x, y: Camera(w, h, f, 1.1 * f, x * w, y * h),
    st.integers(1, 70),
    st.integers(1, 40),
    st.sampled_from([1e-3, 1.0, 30.0, 1e5]),
    st.floats(-2, 3),
    st.floats(-2, 3),
)


@settings(max_examples=150)
@given(cameras, st.integers(0, 3), st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 2**32 - 1)), max_size=12))
def test_any_bits_are_refused_by_name_or_drawn(camera: Camera, degree: int, strikes: list[tuple[str, int]]) -> None:
    """Numbers of any size, denormal, infinite or NaN, anywhere in the tensors."""
    gaussians = random_scene(20, degree, seed=0)
    for place, (name, bits) in enumerate(strikes):
        tensor = getattr(gaussians, name).view(-1)
        value = np.array([bits], np.uint32).view(np.float32)
        tensor[(7 * place) % len(tensor)] = float(value[0])
    broken = [name for name in NAMES if not bool(getattr(gaussians, name).isfinite().all())]
    gaussians.requires_grad_()
    pose = torch.eye(4).requires_grad_()
    if broken:
        named = " and ".join(f"gaussians.{name}" for name in broken)
        with pytest.raises(ValueError, match=rf"^{named}: NaN or infinite values$"):
            rasterize(gaussians, pose, camera)
        return
    seen = rasterize(gaussians, pose, camera, normals=True, median_depth=True)
    for image in maps(seen):
        assert bool(image.isfinite().all())


@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan")])
def test_a_scale_whose_logarithm_is_not_finite_is_an_error(value: float) -> None:
    gaussians = random_scene(9, 0, seed=0)
    gaussians.log_scales[4, 1] = value
    with pytest.raises(ValueError, match=r"^gaussians\.log_scales: NaN or infinite values$"):
        rasterize(gaussians, torch.eye(4), Camera(8, 8, 8.0, 8.0, 4.0, 4.0))


@pytest.mark.parametrize("focal", [0.0, -5.0])
def test_a_camera_that_cannot_project_is_an_error(focal: float) -> None:
    with pytest.raises(ValueError, match=r"^intrinsics: the focal lengths are not positive$"):
        rasterize(random_scene(9, 0, seed=0), torch.eye(4), Camera(8, 8, focal, 8.0, 4.0, 4.0))
    with pytest.raises(ValueError, match=r"^camera: 0x8 is no size of an image$"):
        rasterize(random_scene(9, 0, seed=0), torch.eye(4), Camera(0, 8, 8.0, 8.0, 4.0, 4.0))


@settings(max_examples=12)
@given(st.integers(0, 1000), st.integers(1, 100), st.integers(1, 60), st.integers(0, 3), st.booleans(), st.booleans())
def test_bits_of_pictures_and_gradients_do_not_depend_on_the_threads(
    seed: int, width: int, height: int, degree: int, antialiased: bool, baseline: bool
) -> None:
    camera = Camera(width, height, 50.0, 55.0, width / 2, height / 2)
    library().fewview_splatting_force_baseline(baseline)
    try:
        results = []
        for threads in (1, 2, 3):
            gaussians = random_scene(1500, degree, seed).requires_grad_()
            pose = torch.eye(4).requires_grad_()
            intrinsics = torch.tensor([50.0, 55.0, width / 2, height / 2], requires_grad=True)
            seen = rasterize(
                gaussians, pose, camera, intrinsics=intrinsics, antialiased=antialiased, normals=True, threads=threads
            )
            sum(image.square().sum() for image in maps(seen)).backward()  # type: ignore[union-attr]
            gradients = [getattr(gaussians, name).grad for name in NAMES]
            results.append([*maps(seen), *gradients, pose.grad, intrinsics.grad])
    finally:
        library().fewview_splatting_force_baseline(0)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_ten_thousand_steps_leak_nothing() -> None:
    camera = Camera(16, 12, 12.0, 12.0, 8.0, 6.0)
    gaussians = random_scene(40, 1, seed=0).requires_grad_()
    pose = torch.eye(4).requires_grad_()
    loss = PhotometricLoss(torch.rand(camera.height, camera.width, 3, generator=torch.Generator().manual_seed(0)))
    optimizer = FusedAdam([*(getattr(gaussians, name) for name in NAMES), pose], lr=1e-5)

    def steps(count: int) -> int:
        for _ in range(count):
            seen = rasterize(gaussians, pose, camera, normals=True, median_depth=True, threads=1)
            value, _ = loss(seen.image, threads=1)
            optimizer.zero_grad(set_to_none=True)
            (value + 1e-3 * sum(image.sum() for image in maps(seen))).backward()
            optimizer.step()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    before = steps(1000)
    # A step's smallest output is 768 bytes: lost each time, it alone would be 7 MiB.
    assert steps(9000) - before < 3 * 2**20
