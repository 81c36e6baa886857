"""Coarse to fine: half the size where the network knows it, the same answer, and passes counted by their pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import ConvNet, cosine, linear_classifier
from phosphene.classifier import Classifier, InputFormat
from phosphene.coarse import SMALLEST, at_size, full_size_passes, half_size, stages
from phosphene.concepts import Channel, Classes
from phosphene.errors import FailedCheck
from phosphene.estimator import estimate
from phosphene.geometry import GEOMETRIES, Pixel
from phosphene.jobs import make_maps
from phosphene.recipe import PRESETS, Recipe
from phosphene.sampling import STILL, Gaussian
from phosphene.sources import _timm

HALVED = Recipe(iterations=8, coarse=0.5)
THREE = Classes((3,), "three")
SIDE = 2 * SMALLEST


def large(module: nn.Module, side: int = SIDE) -> Classifier:
    return Classifier(module, InputFormat((side, side), 3, (0.5,), (0.25,)), name="large")


@pytest.fixture(scope="module")
def classifier():
    return large(ConvNet(3, 20))


class Pooled(nn.Module):
    """A linear model of an image's means over 8 × 8 places, of whatever size the image is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 8).flatten(1) @ self.weight.flatten(1).T


class ManyAnswers(Pooled):
    """As many classes as the image has columns."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2)) + super().forward(images).sum(dim=1, keepdim=True)


class Nothing(Pooled):
    """NaN for images of any size but its own."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / (images.shape[2] == SIDE)


def sizes(classifier, recipe, *concepts):
    return [(model.format.size[0], list(turns)) for model, turns in stages(classifier, concepts or [THREE], recipe)]


def test_the_iterations_are_shared_out_and_numbered_on(classifier):
    assert sizes(classifier, HALVED) == [(SMALLEST, [0, 1, 2, 3]), (SIDE, [4, 5, 6, 7])]
    assert sizes(classifier, replace(HALVED, coarse=0.25)) == [(SMALLEST, [0, 1]), (SIDE, [2, 3, 4, 5, 6, 7])]
    assert [progress.iteration for progress in estimate(classifier, [THREE], HALVED)] == list(range(8))


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_no_share_no_stage(classifier, share):
    assert sizes(classifier, replace(HALVED, coarse=share)) == [(SIDE, list(range(8)))]


def test_full_size_throughout_where_half_of_it_is_not_known():
    throughout = list(range(8))
    assert sizes(large(ConvNet(3, 20), SIDE - 2), HALVED) == [(SIDE - 2, throughout)]  # too small
    assert sizes(linear_classifier((3, SIDE, SIDE)), HALVED) == [(SIDE, throughout)]  # takes one size only
    assert sizes(large(ManyAnswers()), HALVED) == [(SIDE, throughout)]  # means something else there
    assert sizes(large(Nothing()), HALVED) == [(SIDE, throughout)]  # knows nothing there


@pytest.mark.parametrize(("name", "known"), [("resnet10t", True), ("vit_tiny_patch16_224", False)])
def test_networks_of_timm_are_asked_whether_they_take_it(name, known):
    torch.manual_seed(0)
    module = _timm().create_model(name, pretrained=False)
    half = half_size(Classifier(module, InputFormat((224, 224), 3, (0.5,), (0.5,)), name=name))
    assert (half is not None and half.format.size == (112, 112)) is known


def test_channels_are_drawn_at_their_own_size(classifier):
    channel = Channel("body", (4,), "body:4")
    assert sizes(classifier, HALVED, channel) == [(SIDE, list(range(8)))]
    assert sizes(classifier, HALVED, THREE, channel) == [(SIDE, list(range(8)))]


def test_a_class_in_the_company_of_channels_is_the_same(classifier):
    asked = ["3", "body:4", "5"]
    together = make_maps(classifier, asked, HALVED)
    alone = [make_maps(classifier, [one], HALVED)[0] for one in asked]
    assert all(torch.equal(one.map, other.map) for one, other in zip(together, alone, strict=True))
    assert [saliency.passes for saliency in together] == [5 + 8, 8 + 8, 5 + 8]  # four of the eight cost a quarter


def test_passes_are_those_that_went_through_the_network(classifier):
    pixels = []
    counted = classifier.module.stem.register_forward_hook(lambda module, inputs, output: pixels.append(inputs[0]))
    try:
        *_, _ = estimate(classifier, [THREE], HALVED)
    finally:
        counted.remove()
    full = classifier.rows_a_pass * SIDE * SIDE
    gone = sum(images.shape[0] * images.shape[2] * images.shape[3] for images in pixels) / full
    assert gone == pytest.approx(full_size_passes(classifier, THREE, HALVED))
    assert full_size_passes(classifier, THREE, replace(HALVED, samples=3, nudge_steps=2)) == pytest.approx(6 * gone)


def test_the_network_that_was_halved_is_as_it_was(classifier):
    half = half_size(classifier)
    assert half is not None
    assert (classifier.format.size, half.format.size) == ((SIDE, SIDE), (SMALLEST, SMALLEST))
    assert half.module is classifier.module
    assert half.fingerprint == classifier.fingerprint


def test_where_memory_is_short_the_coarse_stage_takes_fewer_images_too():
    classifier = large(ConvNet(3, 20))
    assert half_size(classifier).rows_a_pass == classifier.rows_a_pass
    classifier.rows_a_pass = 2
    assert half_size(classifier).rows_a_pass == 2


def test_another_number_of_outputs_is_told():
    with pytest.raises(FailedCheck, match="96 outputs for images of \\(96, 96\\), 192 for those of \\(192, 192\\)"):
        large(ManyAnswers()).at_size((SMALLEST, SMALLEST))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_coarse_stage_is_the_estimate_at_half_the_size(classifier, name):
    recipe = replace(HALVED, geometry=GEOMETRIES[name]())
    progress = [one.maps() for one in estimate(classifier, [THREE], recipe)]
    alone = [one.maps() for one in estimate(half_size(classifier), [THREE], replace(recipe, iterations=4, averaged=0))]
    for whole, half in zip(progress[:4], alone, strict=True):
        torch.testing.assert_close(whole, at_size(half, classifier.image_shape))
    assert not torch.equal(progress[4], progress[3])
    norm = recipe.geometry.norm(recipe.geometry.encode(progress[-1]), classifier.image_shape)
    assert norm.item() <= recipe.geometry.radius * 1.001


def test_the_fine_stage_starts_from_the_coarse_map(classifier):
    """The first step of fresh moments moves every coefficient by the step at most."""
    recipe = replace(HALVED, averaged=0)
    coarse, fine = [recipe.geometry.encode(one.maps()) for one in estimate(classifier, [THREE], recipe)][3:5]
    moved = (fine - coarse).abs()
    assert moved.max() < 1.01 * recipe.step
    assert moved.median() > 0.1 * recipe.step


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_both_stages_find_the_weights_of_a_linear_model(share):
    classifier = large(Pooled())
    recipe = Recipe(distribution=Gaussian(), views=STILL, geometry=Pixel(), iterations=10, step=1.0, averaged=0.0,
                    moments=(0.0, 0.99), shared_scatter=True, coarse=share)  # fmt: skip
    *_, last = estimate(classifier, [THREE], recipe)
    found = F.adaptive_avg_pool2d(last.maps(), 8)[0]
    assert cosine(found, classifier.module.weight[3].detach()) > 0.97


def test_enlarging_keeps_what_is_the_same_everywhere():
    level = torch.full((2, 3, 96, 96), 0.7)
    torch.testing.assert_close(at_size(level, (3, 192, 224)), torch.full((2, 3, 192, 224), 0.7))
    assert at_size(level, (3, 96, 96)) is level


def test_a_recipe_of_before_there_was_a_coarse_stage_means_none():
    record = PRESETS["default"].to_json()
    del record["coarse"]
    assert Recipe.from_json(record).coarse == 0
