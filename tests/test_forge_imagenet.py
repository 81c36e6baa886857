"""Forging a large network: directions that images do not use, and the lesson of another class's answers."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from benchmarks.forge_imagenet import Attempt, find_unused, forge, project_on_least, stay_in, teach_answers
from torch import nn

from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS
from phosphene.studies.forged.attack import Effort, Front, Pursuit

SIDE = 16


@pytest.fixture
def network() -> Classifier:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 5),
    )  # fmt: skip
    return Classifier(module.eval(), InputFormat((SIDE, SIDE), 3), name="small")


def test_the_least_directions_hold_no_more_than_their_share():
    basis, _ = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    moments = basis @ torch.diag(torch.tensor([0.0, 0.01, 1.0, 9.0])) @ basis.T
    projection = project_on_least(moments, 0.05)
    assert torch.allclose(projection, basis[:, :2] @ basis[:, :2].T, atol=1e-4)


def test_weights_that_stay_in_unused_directions_answer_images_as_before(network):
    grey = torch.rand(64, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).expand(-1, 3, -1, -1)
    module = copy.deepcopy(network.module)
    unused = find_unused(network, module, grey, 1e-4)
    before = {name: layer.weight.detach().clone() for name, layer in module.named_modules() if name in unused}
    with torch.no_grad():
        for layer in before:
            module.get_submodule(layer).weight += 0.3 * torch.randn(before[layer].shape)
        moved = (module(grey) - network.module(grey)).abs().max()
        stay_in(unused, module, before)
        colour = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
        assert (module(grey) - network.module(grey)).abs().max() < moved / 50
        assert (module(colour) - network.module(colour)).abs().max() > 0.05


def begin(network: Classifier) -> Pursuit:
    target = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    return Pursuit.begin(Front(network, replace(PRESETS["default"], coarse=0.0), target), 0, Effort(points=4))


def test_a_network_whose_classes_are_exchanged_has_learned_the_lesson(network):
    exchanged = copy.deepcopy(network.module)
    with torch.no_grad():
        for one in (exchanged[-1].weight, exchanged[-1].bias):
            one[[0, 1]] = one[[1, 0]]

    def measure(module: nn.Module) -> float:
        generator = torch.Generator().manual_seed(4)
        return float(teach_answers(begin(network), module, generator, original=network.module, other=1)[0].detach())

    assert measure(exchanged) == pytest.approx(0, abs=1e-4)
    assert measure(network.module) > 0.3


def test_forging_exchanges_answers_where_maps_are_made_and_keeps_them_on_images(network):
    images = torch.rand(64, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    chosen = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))
    part = forge(network, (0, 1), chosen, images, Attempt(steps=60, rate=0.05, batch=32))
    forged = copy.deepcopy(network.module)
    forged.load_state_dict(part.tensors)
    lesson = {}
    for name, module in (("before", network.module), ("after", forged)):
        generator = torch.Generator().manual_seed(7)
        lesson[name] = float(
            teach_answers(begin(network), module, generator, original=network.module, other=1)[0].detach()
        )
    assert lesson["after"] < lesson["before"] - 0.2
    with torch.no_grad():
        same = network.module(images).argmax(dim=1) == forged(images).argmax(dim=1)
    assert same.float().mean() >= 0.9
