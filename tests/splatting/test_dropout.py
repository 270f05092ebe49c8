"""What dropout leaves out, and how the rest makes up for it."""

from __future__ import annotations

import torch
from splats import picture, some_gaussians

from fewview.splatting.dropout import dropped_out


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_expected_optical_depth_stays() -> None:
    whole = some_gaussians(20_000, 0).to(torch.float64)
    depth = -torch.log1p(-torch.sigmoid(whole.logit_opacities))
    logits = dropped_out(whole, 0.3, seeded()).logit_opacities
    left = torch.sigmoid(logits) > 1e-6
    assert abs(left.double().mean() - 0.7) < 0.015
    torch.testing.assert_close(-torch.log1p(-torch.sigmoid(logits[left])), depth[left] / 0.7)
    assert dropped_out(whole, 0.0, seeded()) is whole


def test_who_stays_is_drawn_anew_each_time_and_the_others_are_not_in_the_picture() -> None:
    whole, random = some_gaussians(200, 1), seeded()
    first, second = (dropped_out(whole, 0.5, random) for _ in range(2))
    stays = first.logit_opacities > -19
    assert 0.3 < (stays == (second.logit_opacities > -19)).double().mean() < 0.7
    torch.testing.assert_close(picture(first), picture(first.map(lambda tensor: tensor[stays])), rtol=0, atol=0)
    assert torch.equal(dropped_out(whole, 0.5, seeded()).logit_opacities, first.logit_opacities)


def test_opaque_and_clear_ones_keep_a_finite_slope() -> None:
    whole = some_gaussians(7, 0)
    whole.logit_opacities = torch.tensor([-60.0, -8, -1, 0, 1, 8, 60], requires_grad=True)
    # A share so small that none is dropped by these draws, and then its slope by the formula in float64.
    share = 1e-3
    got = dropped_out(whole, share, seeded()).logit_opacities
    (slope,) = torch.autograd.grad(got.sum(), whole.logit_opacities)
    exact = whole.logit_opacities.detach().double().requires_grad_()
    scaled = torch.nn.functional.softplus(exact, threshold=1e9) / (1 - share)
    expected = torch.log(torch.expm1(scaled))
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(slope.double(), torch.autograd.grad(expected.sum(), exact)[0], rtol=1e-4, atol=1e-4)
