"""Total variation: its gradient beside autograd's, its length beside the score's, and what it does to a picture."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import phosphene
from phosphene.errors import BadInput
from phosphene.method.total_variation import SLOPE, add_total_variation, differentiate_total_variation
from phosphene.recipe.recipe import PRESETS, Recipe


def draw_maps(count=3, seed=0):
    return torch.randn(count, 3, 9, 11, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measure_total_variation(maps, even=None):
    even = torch.stack([SLOPE * one.detach().std() for one in maps]) if even is None else even
    across, down = F.pad(maps.diff(dim=3), (0, 1)), F.pad(maps.diff(dim=2), (0, 0, 0, 1))
    return ((across**2 + down**2).sum(1) + even.view(-1, 1, 1) ** 2).sqrt().sum(dim=(1, 2))


def test_the_gradient_is_that_of_autograd():
    maps = draw_maps().requires_grad_()
    (slow,) = torch.autograd.grad(measure_total_variation(maps).sum(), maps)
    assert torch.allclose(differentiate_total_variation(maps.detach()), slow, rtol=1e-9, atol=1e-9)


def test_its_length_is_a_share_of_the_score_gradient_whatever_the_logits_are_worth():
    maps, gradient = draw_maps(), draw_maps(seed=1) * torch.tensor([1e-3, 1.0, 1e3]).view(-1, 1, 1, 1)
    added = add_total_variation(gradient, maps, 0.3) - gradient
    lengths = added.flatten(1).norm(dim=1) / gradient.flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.full((3,), 0.3, dtype=torch.float64), rtol=1e-6)


def test_a_map_does_not_depend_on_its_company():
    maps, gradient = draw_maps().float(), draw_maps(seed=1).float()
    together = add_total_variation(gradient, maps, 0.3)
    alone = torch.cat([add_total_variation(gradient[k : k + 1], maps[k : k + 1], 0.3) for k in range(3)])
    assert torch.equal(together, alone)


def test_a_map_of_zeros_gets_the_gradient_of_the_score_alone():
    gradient = draw_maps()
    assert torch.equal(add_total_variation(gradient, torch.zeros_like(gradient), 0.3), gradient)


def test_a_step_takes_texture_and_leaves_an_edge():
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8:] = 1.0
    texture = 0.2 * (torch.arange(16) % 2 - 0.5).expand(16, 16)
    smoother = edge + texture
    for _ in range(30):
        smoother = smoother - 0.01 * differentiate_total_variation(smoother)
    assert smoother[0, 0, :, 2:6].std() < 0.3 * (edge + texture)[0, 0, :, 2:6].std()
    assert smoother[0, 0, :, 11:14].mean() - smoother[0, 0, :, 2:5].mean() > 0.9


def test_a_map_with_it_is_smoother_at_the_same_length(colour):
    recipe = replace(PRESETS["default"], iterations=60, restarts=1, total_variation=0.5)
    (with_it,) = phosphene.make_maps(colour, ["1"], recipe)
    (without,) = phosphene.make_maps(colour, ["1"], replace(recipe, total_variation=0.0))
    one, other = (measure_total_variation(m / m.std(), torch.zeros(1)) for m in (with_it.map[None], without.map[None]))
    assert one < 0.9 * other


def test_a_negative_share_is_refused():
    with pytest.raises(BadInput, match=r"total_variation is -0.1; expected 0 \(none\) or more"):
        Recipe(total_variation=-0.1)
