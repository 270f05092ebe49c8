"""The fused loss and the fused optimiser against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from fewview.splatting.adam import FusedAdam
from fewview.splatting.losses import PhotometricLoss


def images(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(height, width, 3, generator=random)
    return target + 0.1 * torch.randn(height, width, 3, generator=random), target


def weights(height: int, width: int, kind: str) -> torch.Tensor | None:
    random = torch.Generator().manual_seed(1)
    values = torch.rand(height, width, generator=random)
    return {"none": None, "mask": values > 0.3, "weights": values * (values > 0.2)}[kind]


@pytest.mark.parametrize("kind", ["none", "mask", "weights"])
@pytest.mark.parametrize("size", [(37, 53), (120, 33), (9, 7), (1, 1)])
def test_loss_and_gradient_match_float64_autograd(size: tuple[int, int], kind: str) -> None:
    image, target = images(*size)
    weight = weights(*size, kind)
    fast, exact = image.clone().requires_grad_(), image.double().requires_grad_()
    loss, psnr = PhotometricLoss(target, weight, 0.3)(fast)
    right, right_error = PhotometricLoss(target.double(), weight, 0.3).in_torch(exact)
    (3 * loss).backward()
    (3 * right).backward()
    assert float(loss) == pytest.approx(float(right), rel=1e-5)
    assert psnr == pytest.approx(-10 * np.log10(right_error), abs=1e-4)
    assert fast.grad is not None
    assert exact.grad is not None
    assert float((fast.grad - exact.grad).norm()) < 1e-5 * float(exact.grad.norm())


def test_ssim_is_the_published_one() -> None:
    """Away from the border, where padding differs, scikit-image with the same window finds the same
    similarity."""
    image, target = images(40, 50)
    _, ours = structural_similarity(
        image.double().numpy(), target.double().numpy(), channel_axis=2, data_range=1, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False, full=True,
    )  # fmt: skip
    inner = torch.zeros(40, 50)
    inner[12:-12, 12:-12] = 1
    # Weight 0 would replace the image there, so weigh it with nearly nothing instead.
    loss, _ = PhotometricLoss(target, inner + 1e-12, 1.0)(image)
    assert float(loss) == pytest.approx(1 - ours[12:-12, 12:-12].mean(), abs=1e-5)


def test_ignored_pixels_have_no_say() -> None:
    image, target = images(40, 50)
    mask = torch.ones(40, 50, dtype=torch.bool)
    mask[10:20, 15:30] = False
    criterion = PhotometricLoss(target, mask)
    other = image.clone()
    other[10:20, 15:30] = 7.0
    other.requires_grad_()
    loss, _ = criterion(other)
    loss.backward()
    assert float(loss) == float(criterion(image)[0])
    assert other.grad is not None
    assert not bool(other.grad[10:20, 15:30].any())
    assert bool(other.grad[9, 15].any())


def test_perfect_image_scores_zero() -> None:
    _, target = images(30, 30)
    perfect = target.clone().requires_grad_()
    loss, psnr = PhotometricLoss(target)(perfect)
    loss.backward()
    assert abs(float(loss)) < 1e-6
    assert psnr == 120
    assert perfect.grad is not None
    assert float(perfect.grad.abs().max()) < 1e-6


def test_threads_change_no_bit() -> None:
    image, target = images(200, 64)
    results = []
    for threads in (1, 2, 3):
        x = image.clone().requires_grad_()
        loss, _ = PhotometricLoss(target)(x, threads=threads)
        loss.backward()
        results.append((loss, x.grad))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_wrong_arguments_are_named() -> None:
    _, target = images(8, 9)
    with pytest.raises(ValueError, match="all pixels have weight 0"):
        PhotometricLoss(target, torch.zeros(8, 9))
    with pytest.raises(ValueError, match="weight: negative"):
        PhotometricLoss(target, torch.full((8, 9), -1.0))
    with pytest.raises(ValueError, match=r"image has shape \(9, 8, 3\)"):
        PhotometricLoss(target)(target.transpose(0, 1))


def test_adam_takes_the_steps_that_torch_takes() -> None:
    random = torch.Generator().manual_seed(0)
    start = [torch.randn(*shape, generator=random) for shape in ((20000, 3), (17,), (6,), (1, 1))]
    mine, theirs = ([t.clone().requires_grad_() for t in start] for _ in range(2))
    rates = (0.1, 0.01, 1e-3, 0.5)
    fused = FusedAdam([{"params": [t], "lr": r} for t, r in zip(mine, rates, strict=True)], eps=1e-15)
    plain = torch.optim.Adam([{"params": [t], "lr": r} for t, r in zip(theirs, rates, strict=True)], eps=1e-15)
    for step in range(12):
        for a, b in zip(mine, theirs, strict=True):
            # A tensor without a gradient, such as the pose of a view not rendered, stays and does not age.
            a.grad = None if step % 3 == 0 and a.numel() == 6 else torch.randn(a.shape, generator=random)
            b.grad = None if a.grad is None else a.grad.clone()
        fused.step()
        plain.step()
    for a, b, rate in zip(mine, theirs, rates, strict=True):
        assert float((a - b).abs().max()) < 2e-5 * 12 * rate + 1e-6


def test_adam_names_what_it_cannot_step() -> None:
    x = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    x.grad = torch.ones_like(x)
    with pytest.raises(ValueError, match=r"FusedAdam: a parameter is torch.float64 on cpu"):
        FusedAdam([x]).step()
