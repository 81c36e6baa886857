"""Forging a large network: the lesson of another class's answers, and what agreement is measured on."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from benchmarks.forge_imagenet import OWN_MAPS, Attempt, fine_tune, list_own, teach_answers
from benchmarks.surrogates import list_own_classes
from torch import nn

import phosphene
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
    other = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))
    part = fine_tune(network, (0, 1), other, images, Attempt(steps=60, rate=0.05, batch=32))
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


def test_agreement_is_measured_on_maps_of_classes_that_nothing_was_learned_from():
    original = phosphene.load("efficientnet_lite0")
    learned, held_out = list_own(original)
    assert len(learned) == len(held_out) == 8
    assert not {*learned, *list_own_classes(original)[:OWN_MAPS]} & set(held_out)
