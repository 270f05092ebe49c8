"""Where Gaussians are added and removed, and that the optimiser's moments follow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fewview.recon.scene import Camera
from fewview.splatting.adam import FusedAdam
from fewview.splatting.density import SHIFT, SHRINK, ViewError, attributed_error, chosen, split
from fewview.splatting.gaussians import Gaussians
from fewview.splatting.model import GaussianParameters
from fewview.splatting.reference import rasterize_reference, rotation_matrices

CAMERA = Camera(40, 24, 30.0, 30.0, 20.0, 12.0)


def scene(count: int = 12) -> Gaussians:
    random = torch.Generator().manual_seed(4)
    return Gaussians(
        torch.randn(count, 3, generator=random) * torch.tensor([0.8, 0.5, 0.3]) + torch.tensor([0, 0, 2.5]),
        torch.nn.functional.normalize(torch.randn(count, 4, generator=random), dim=-1),
        -2 + 0.4 * torch.randn(count, 3, generator=random),
        torch.randn(count, generator=random),
        torch.randn(count, 4, 3, generator=random),
    )


def moved(shift: float) -> torch.Tensor:
    T = torch.eye(4)
    T[0, 3] = shift
    return T


def test_error_is_attributed_by_blending_weights_and_the_worst_view_counts() -> None:
    gaussians = scene()
    random = torch.Generator().manual_seed(5)
    views = [ViewError(moved(x), CAMERA, torch.rand(24, 40, generator=random)) for x in (0.0, 0.4)]
    expected = torch.zeros(gaussians.count, dtype=torch.float64)
    for view in views:
        for index in range(gaussians.count):
            # With one white Gaussian among black ones the picture is that Gaussian's weight.
            sh = torch.full((gaussians.count, 1, 3), -10.0)
            sh[index] = 0.5 / (0.5 / np.sqrt(np.pi))
            one = replace(gaussians, sh=sh).map(torch.Tensor.double)
            K = torch.tensor([30.0, 30.0, 20.0, 12.0]).double()
            image = rasterize_reference(
                one, view.T_camera_world.double(), K, 40, 24,
                background=torch.zeros(3).double(), antialiased=False, sh_degree=0, near=0.01,
            )[0]  # fmt: skip
            expected[index] = max(expected[index], float((image[..., 0] * view.error).sum()))
    found = attributed_error(gaussians, views)
    assert expected.max() > 1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_worst_are_chosen_within_the_room_and_the_dead_never() -> None:
    error = torch.tensor([3.0, 9.0, 0.0, 5.0, 7.0])
    alive = torch.tensor([True, False, True, True, True])
    assert chosen(error, alive, 2).tolist() == [3, 4]
    assert chosen(error, alive, 99).tolist() == [0, 3, 4]
    assert chosen(error, alive, 0).tolist() == []


def test_children_lie_along_the_longest_axis_and_are_as_opaque_together() -> None:
    parents = scene()
    shift, log_scales, logits = split(parents)
    axes = rotation_matrices(parents.quats)
    for index in range(parents.count):
        longest = int(parents.log_scales[index].argmax())
        length = float(parents.log_scales[index].exp()[longest])
        np.testing.assert_allclose(shift[index], SHIFT * length * axes[index, :, longest], atol=1e-6)
        ratio = (log_scales[index] - parents.log_scales[index]).exp()
        np.testing.assert_allclose(ratio, [SHRINK if k == longest else 1 for k in range(3)], rtol=1e-5)
    together = 1 - (1 - torch.sigmoid(logits)) ** 2
    np.testing.assert_allclose(together, torch.sigmoid(parents.logit_opacities), rtol=1e-4)


def test_restructuring_takes_the_moments_along() -> None:
    start = scene(6)
    model = GaussianParameters(start, torch.linspace(0.01, 0.02, 6))
    optimizer = FusedAdam([{"params": [leaf], "lr": 0.01} for leaf in model.leaves.values()])
    model.gaussians().means.square().sum().backward()
    for leaf in model.leaves.values():
        leaf.grad = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    before = model.gaussians().detach()
    moments = {name: optimizer.state[leaf]["exp_avg"].clone() for name, leaf in model.leaves.items()}

    alive = torch.tensor([True, True, False, True, True, False])
    parents = torch.tensor([1, 4])
    model.restructure(optimizer, alive, parents)

    after = model.gaussians().detach()
    assert model.count == after.count == 6
    # Survivors keep their order; 1 and 4 are now the second and the fourth, with a twin each at the end.
    for place, old in ((0, 0), (2, 3)):
        for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
            assert torch.equal(getattr(after, name)[place], getattr(before, name)[old])
    for first, second, old in ((1, 4, 1), (3, 5, 4)):
        np.testing.assert_allclose((after.means[first] + after.means[second]) / 2, before.means[old], atol=1e-6)
        assert (after.means[first] - after.means[second]).norm() > 0.05
        assert torch.equal(after.sh[second], before.sh[old])
    for name, leaf in model.leaves.items():
        state = optimizer.state[leaf]
        assert torch.equal(state["exp_avg"][:4], moments[name][alive])
        assert not state["exp_avg"][4:].any()
        assert not state["exp_avg_sq"][4:].any()
    assert [
        group["params"][0] is leaf for group, leaf in zip(optimizer.param_groups, model.leaves.values(), strict=True)
    ]
    optimizer.zero_grad()
    model.gaussians().means.sum().backward()
    optimizer.step()
    assert not torch.equal(model.gaussians().means, after.means)


def test_needles_are_blunted_and_nothing_else() -> None:
    logs = torch.tensor([[0.0, -1.0, -5.0], [-2.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
    start = replace(scene(3), log_scales=logs)
    model = GaussianParameters(start, torch.ones(3))
    model.blunt(4.0)
    expected = logs.clone()
    expected[1, 1] = float(np.log(4.0))
    np.testing.assert_allclose(model.leaves["log_scales"].detach(), expected, atol=1e-6)
