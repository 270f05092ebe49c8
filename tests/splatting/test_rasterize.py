"""The fast rasterisers against the float64 reference, and what must hold for any scene."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fewview.recon.scene import Camera
from fewview.splatting._cpu import library
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.rasterize import Rendering, rasterize
from fewview.splatting.reference import project, rasterize_reference, rotation_matrices

CAMERA = Camera(75, 53, 60.0, 63.0, 36.0, 27.0)  # neither size a multiple of a tile or a vector
PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh")
BACKGROUND = torch.tensor([0.2, 0.5, 0.9])


@dataclass(frozen=True)
class Case:
    degree: int = 1
    spread: float = 0.6
    """Beyond 1, many Gaussians lie outside the image, where the Jacobian is clamped."""
    log_scale: float = -2.5
    logit: float = 1.0
    antialiased: bool = False
    normals: bool = False
    elongated: bool = False


CASES = {
    "plain": Case(degree=0),
    "harmonics": Case(degree=3, log_scale=-3.5),
    "second-degree": Case(degree=2),
    "antialiased": Case(antialiased=True, log_scale=-4.5, logit=5.0),
    "normals": Case(normals=True, antialiased=True),
    "clamped-jacobian": Case(spread=2.5, log_scale=-1.5, logit=0.0),
    "saturated": Case(spread=0.3, log_scale=-1.5, logit=7.0, normals=True),
    "needles": Case(elongated=True),
}


def scene(case: Case, count: int = 250, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    means = normal(count, 3) * torch.tensor([case.spread, case.spread, 0.4]) + torch.tensor([0.0, 0.0, 2.0])
    log_scales = normal(count, 3) * 0.5 + case.log_scale
    if case.elongated:
        log_scales += torch.tensor([1.5, -2.0, -3.0])
    return Gaussians(
        means,
        normal(count, 4),
        log_scales,
        normal(count) * 2 + case.logit,
        normal(count, (case.degree + 1) ** 2, 3) * 0.3,
    )


def pose(seed: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    quat = torch.tensor([[1.0, 0, 0, 0]]) + 0.05 * torch.randn(1, 4, generator=random)
    T = torch.eye(4)
    T[:3, :3] = rotation_matrices(quat.double())[0].float()
    T[:3, 3] = torch.tensor([0.05, -0.1, 0.2])
    return T


def clear_of_thresholds(g: Gaussians, case: Case) -> Gaussians:
    """Without the few Gaussians that reach some pixel with alpha so near 1/255 or 0.999 that rounding
    decides."""
    K = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy], dtype=torch.float64)
    p = project(
        g.to(torch.float64), pose().double(), K, CAMERA.width, CAMERA.height,
        antialiased=case.antialiased, sh_degree=0, near=0.05, normals=False,
    )  # fmt: skip
    y, x = torch.meshgrid(torch.arange(CAMERA.height) + 0.5, torch.arange(CAMERA.width) + 0.5, indexing="ij")
    delta = torch.stack([x, y], -1).reshape(1, -1, 2) - p.mean[:, None]
    power = -0.5 * torch.einsum("npi,nij,npj->np", delta, torch.linalg.inv(p.covariance), delta)
    alpha = p.opacity[:, None] * power.exp()
    near = (((alpha * 255).log().abs() < 1e-4) | ((alpha / 0.999).log().abs() < 1e-4)).any(1)
    return g.map(lambda t: t[~(near & p.visible)])


def relative(value: Tensor, truth: Tensor) -> float:
    return float((value.double().cpu() - truth).norm() / truth.norm())


def maps(seen: Rendering) -> list[Tensor]:
    return [seen.image, seen.alpha, seen.depth] + ([] if seen.normal is None else [seen.normal])


@pytest.fixture(params=["avx2-or-best", "baseline"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    library().fewview_splatting_force_baseline(request.param == "baseline")
    yield
    library().fewview_splatting_force_baseline(0)


def compare(case: Case, device: str, tolerance: float) -> None:
    start = clear_of_thresholds(scene(case), case)
    assert start.count > 150
    fast = start.map(torch.clone).to(device).requires_grad_()
    exact = start.to(torch.float64).requires_grad_()
    T_fast, T_exact = pose().to(device).requires_grad_(), pose().double().requires_grad_()
    K = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
    K_fast, K_exact = K.clone().to(device).requires_grad_(device == "cpu"), K.double().requires_grad_()
    seen = rasterize(
        fast, T_fast, CAMERA, intrinsics=K_fast, background=BACKGROUND.to(device),
        antialiased=case.antialiased, near=0.05, normals=case.normals, median_depth=True,
    )  # fmt: skip
    image, alpha, depth, normal, median = rasterize_reference(
        exact, T_exact, K_exact, CAMERA.width, CAMERA.height, background=BACKGROUND.double(),
        antialiased=case.antialiased, sh_degree=case.degree, near=0.05, normals=case.normals,
    )  # fmt: skip
    truth = [image, alpha, depth] + ([normal] if case.normals else [])
    random = torch.Generator().manual_seed(2)
    loss_fast, loss_exact = torch.zeros((), device=device), torch.zeros((), dtype=torch.float64)
    for mine, right in zip(maps(seen), truth, strict=True):
        assert float((mine.detach().double().cpu() - right.detach()).abs().max()) < 1e-5 * max(
            1.0, float(right.detach().abs().max())
        )
        weight = torch.randn(right.shape, generator=random)
        loss_fast = loss_fast + (mine * weight.to(device)).sum()
        loss_exact = loss_exact + (right * weight).sum()
    assert seen.median_depth is not None
    torch.testing.assert_close(seen.median_depth.double().cpu(), median, rtol=1e-5, atol=1e-5, equal_nan=True)

    loss_fast.backward()
    loss_exact.backward()
    for name in PARAMETERS:
        gradient = getattr(fast, name).grad
        assert relative(gradient, getattr(exact, name).grad) < tolerance, name
    assert T_fast.grad is not None
    assert T_exact.grad is not None
    assert K_exact.grad is not None
    assert relative(T_fast.grad, T_exact.grad) < tolerance
    if device == "cpu":
        assert K_fast.grad is not None
        assert relative(K_fast.grad, K_exact.grad) < tolerance


@pytest.mark.parametrize("name", CASES)
def test_image_and_every_gradient_match_float64_autograd(name: str, instruction_set: None) -> None:
    compare(CASES[name], "cpu", 1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", CASES)
def test_gsplat_matches_float64_autograd(name: str) -> None:
    # gsplat blends with __expf, so it is held to a looser bound.
    compare(CASES[name], "cuda", 2e-3)


def test_reference_gradients_match_finite_differences() -> None:
    g = scene(Case(degree=1, normals=True, antialiased=True), count=4).to(torch.float64)
    K = torch.tensor([10.0, 11.0, 4.0, 3.0], dtype=torch.float64)

    def render(means: Tensor, quats: Tensor, log_scales: Tensor, logits: Tensor, sh: Tensor, T: Tensor) -> Tensor:
        out = rasterize_reference(
            Gaussians(means, quats, log_scales, logits, sh), T, K, 8, 6, background=BACKGROUND.double(),
            antialiased=True, sh_degree=1, near=0.05, normals=True,
        )  # fmt: skip
        return torch.cat([out[0], out[2][..., None], out[3]], -1)

    inputs = (*(getattr(g, name) for name in PARAMETERS), pose().double())
    assert torch.autograd.gradcheck(
        render, [t.clone().requires_grad_() for t in inputs], atol=1e-5, eps=1e-7, fast_mode=True
    )


@pytest.mark.parametrize("normals", [False, True])
def test_any_number_of_threads_gives_the_same_bits(normals: bool) -> None:
    results = []
    for threads in (1, 2, 3):
        g = scene(Case(degree=1), count=5000).requires_grad_()
        T = pose().requires_grad_()
        seen = rasterize(g, T, CAMERA, normals=normals, threads=threads)
        sum(m.square().sum() for m in maps(seen)).backward()  # type: ignore[union-attr]
        results.append([*maps(seen), *(getattr(g, name).grad for name in PARAMETERS), T.grad])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_order_of_the_gaussians_changes_nothing(seed: int) -> None:
    g = scene(Case(), seed=seed % 1000)
    order = torch.randperm(g.count, generator=torch.Generator().manual_seed(seed))
    a, b = rasterize(g, pose(), CAMERA), rasterize(g.map(lambda t: t[order]), pose(), CAMERA)
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.depth, b.depth)


@settings(max_examples=10)
@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 0.1), st.floats(-2, 2))
def test_turning_world_and_camera_together_changes_nothing(quat: tuple[float, ...], shift: float) -> None:
    # Degree 0: harmonics of higher degree would have to be turned as well.
    g = scene(Case(degree=0)).to(torch.float64)
    R = rotation_matrices(torch.tensor([quat], dtype=torch.float64))[0]
    w, x, y, z = torch.nn.functional.normalize(torch.tensor(quat, dtype=torch.float64), dim=0)
    left = torch.stack([torch.stack(r) for r in ([w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w])])
    moved = Gaussians(g.means @ R.T + shift, g.quats @ left.T, g.log_scales, g.logit_opacities, g.sh)
    world = torch.eye(4, dtype=torch.float64)
    world[:3, :3], world[:3, 3] = R, shift
    a = rasterize(g.to(torch.float32), pose(), CAMERA)
    b = rasterize(moved.to(torch.float32), (pose().double() @ torch.linalg.inv(world)).float(), CAMERA)
    # Rounding may move a pair across the threshold of 1/255, which shows by no more than that.
    assert float((a.image - b.image).abs().mean()) < 1e-5
    assert float((a.image - b.image).abs().max()) < 6e-3


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-5, 5),
    st.sampled_from([-200.0, -40.0, -2.0, 5.0, 60.0, 300.0]),
    st.sampled_from([-1e4, -20.0, 0.0, 20.0, 1e4]),
    st.sampled_from([0.0, 1e-30, 1.0, 1e8]),
    st.booleans(),
)
def test_degenerate_gaussians_neither_crash_nor_poison(
    z: float, log_scale: float, logit: float, quat: float, antialiased: bool
) -> None:
    """Behind or at the camera, of no or boundless size, invisible or opaque, with a zero quaternion."""
    g = scene(Case(degree=3), count=40)
    g.means[::2, 2] = z
    g.means[0] = 0
    g.log_scales[::3] = log_scale
    g.logit_opacities[::5] = logit
    g.quats[::7] = quat
    g.requires_grad_()
    T = torch.eye(4).requires_grad_()
    seen = rasterize(g, T, CAMERA, antialiased=antialiased, normals=True, median_depth=True)
    sum(m.sum() for m in maps(seen)).backward()  # type: ignore[union-attr]
    assert all(bool(m.isfinite().all()) for m in maps(seen))
    for name in PARAMETERS:
        assert bool(getattr(g, name).grad.isfinite().all()), name
    assert T.grad is not None
    assert bool(T.grad.isfinite().all())


def test_empty_scenes_and_tiny_images() -> None:
    g = scene(Case(), count=5)
    none = g.map(lambda t: t[:0]).requires_grad_()
    seen = rasterize(none, pose(), CAMERA, background=BACKGROUND)
    assert torch.equal(seen.image, BACKGROUND.expand(53, 75, 3))
    seen.image.sum().backward()
    assert none.means.grad is not None
    assert none.means.grad.shape == (0, 3)
    assert rasterize(g, pose(), Camera(1, 1, 1.0, 1.0, 0.5, 0.5)).image.shape == (1, 1, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", PARAMETERS)
def test_values_that_are_not_finite_are_named(name: str, value: float) -> None:
    g = scene(Case())
    getattr(g, name)[17] = value
    with pytest.raises(ValueError, match=rf"^gaussians\.{name}: NaN or infinite values$"):
        rasterize(g, pose(), CAMERA)


def test_wrong_arguments_are_named() -> None:
    g = scene(Case())
    broken = pose()
    broken[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"^T_camera_world: NaN or infinite values$"):
        rasterize(g, broken, CAMERA)
    with pytest.raises(ValueError, match=re.escape("T_camera_world has shape (3, 4), not (4, 4)")):
        rasterize(g, broken[:3], CAMERA)
    with pytest.raises(ValueError, match=re.escape("gaussians.sh has shape (250, 5, 3), not (250, K, 3)")):
        rasterize(
            Gaussians(g.means, g.quats, g.log_scales, g.logit_opacities, torch.zeros(250, 5, 3)),
            pose(),
            CAMERA,
        )
    with pytest.raises(ValueError, match=r"gaussians\.means is torch\.float64, not torch\.float32"):
        rasterize(g.to(torch.float64), pose(), CAMERA)


def test_structures_match_the_library() -> None:
    """A field added on one side only would shift all that follow; the kernels' record is 64 bytes."""
    from fewview.splatting._cpu import _Scene, _View

    assert ctypes.sizeof(_Scene) == 5 * 8 + 8 + 8
    assert ctypes.sizeof(_View) == 4 * (9 + 3 + 4 + 3 + 1 + 6)
