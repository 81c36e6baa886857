"""Coarse to fine: half the size where the network knows it, full size for what it does not see there, the same answer,
and passes counted by their pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import phosphene.method.multires
from models import ConvNet, cosine, linear_classifier
from phosphene.errors import FailedCheck
from phosphene.method.fidelity import Fidelity
from phosphene.method.loop import iterate
from phosphene.method.multires import SMALLEST, enlarge, estimate, half_size, pixel_share, plan_stages
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.small_passes import choose_size
from phosphene.model.sources.libraries import import_timm
from phosphene.recipe.concepts import Channel, Classes
from phosphene.recipe.distributions import Gaussian
from phosphene.recipe.geometries import GEOMETRIES, Pixel, Spectral
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.make import make_maps

HALVED = Recipe(iterations=8, coarse=0.5)
THREE, FIVE = Classes((3,), "three"), Classes((5,), "five")
SIDE = 2 * SMALLEST


@pytest.fixture
def every_coarse_map_is_kept(monkeypatch):
    """For networks that were never trained and see nothing; tests that use it are about something else."""
    monkeypatch.setattr(phosphene.method.multires, "DROP_BELOW", 0.0)


@pytest.fixture
def five_is_not_seen(monkeypatch):
    def measured(model, concept, saliency, recipe):
        asked.append((model.format.size[0], concept.name, saliency))
        return Fidelity(0.49 if concept.name == FIVE.name else 0.5, 0.0)

    asked = []
    monkeypatch.setattr(phosphene.method.multires, "DROP_BELOW", 0.5)
    monkeypatch.setattr(phosphene.method.multires, "measure_fidelity", measured)
    return asked


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
    return [
        (model.format.size[0], list(turns)) for model, turns in plan_stages(classifier, concepts or [THREE], recipe)
    ]


def test_the_iterations_are_shared_out_and_numbered_on(classifier):
    assert sizes(classifier, HALVED) == [(SMALLEST, [0, 1, 2, 3]), (SIDE, [4, 5, 6, 7])]
    assert sizes(classifier, replace(HALVED, coarse=0.25)) == [(SMALLEST, [0, 1]), (SIDE, [2, 3, 4, 5, 6, 7])]
    assert [progress.iteration for progress in estimate(classifier, [THREE], HALVED)] == list(range(8))


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_without_a_share_there_is_no_coarse_stage(classifier, share):
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
    module = import_timm().create_model(name, pretrained=False)
    half = half_size(Classifier(module, InputFormat((224, 224), 3, (0.5,), (0.5,)), name=name))
    assert (half is not None and half.format.size == (112, 112)) is known


def test_channels_are_drawn_at_their_own_size(classifier):
    channel = Channel("body", (4,), "body:4")
    assert sizes(classifier, HALVED, channel) == [(SIDE, list(range(8)))]
    assert sizes(classifier, HALVED, THREE, channel) == [(SIDE, list(range(8)))]


@pytest.mark.usefixtures("every_coarse_map_is_kept")
def test_a_class_beside_channels_is_the_same(classifier):
    asked = ["3", "body:4", "5"]
    together = make_maps(classifier, asked, HALVED)
    alone = [make_maps(classifier, [one], HALVED)[0] for one in asked]
    assert all(torch.equal(one.map, other.map) for one, other in zip(together, alone, strict=True))
    assert [saliency.passes for saliency in together] == [5 + 8, 8 + 8, 5 + 8]  # four of the eight cost a quarter


def gone_through(classifier, recipe, *concepts):
    """What went forward and backward through the network, in images of full size, and what the estimate says of it."""
    pixels = []
    half_size(classifier)  # which asks once whether the network takes such images

    def seen(module, inputs, output):
        if output.requires_grad:
            pixels.append(inputs[0])

    counted = classifier.module.stem.register_forward_hook(seen)
    try:
        *_, last = estimate(classifier, concepts, recipe)
    finally:
        counted.remove()
    full = classifier.batch_size * SIDE * SIDE
    gone = sum(images.shape[0] * images.shape[2] * images.shape[3] for images in pixels) / full
    return gone, last.passes.tolist()


@pytest.fixture
def every_pass_is_full(monkeypatch):
    monkeypatch.setattr("phosphene.model.classifier.choose_size", lambda *given: given[3])


@pytest.mark.usefixtures("every_coarse_map_is_kept", "every_pass_is_full")
@pytest.mark.parametrize("changes", [{}, {"samples": 3, "nudge_steps": 2}])
def test_passes_are_those_that_went_through_the_network(classifier, changes):
    gone, (told,) = gone_through(classifier, replace(HALVED, **changes), THREE)
    assert told == 5 * changes.get("samples", 1) * changes.get("nudge_steps", 1)
    assert gone == pytest.approx(5 * changes.get("nudge_steps", 1))  # three samples are one pass of rows


@pytest.mark.usefixtures("every_pass_is_full")
def test_passes_tell_what_was_made_anew(classifier, five_is_not_seen):
    gone, (three, five) = gone_through(classifier, HALVED, THREE, FIVE)
    assert (three, five) == (5, 9)  # four at a quarter, and the same four again at full size
    assert gone == pytest.approx(5 + 4 / classifier.batch_size)  # in passes of full rows; the four went alone


@pytest.mark.usefixtures("every_coarse_map_is_kept")
def test_a_single_map_sends_no_more_images_through_the_network_than_full_passes(classifier, monkeypatch):
    pixels = []

    def choose(*given):
        size = choose_size(*given)
        pixels.append(given[2].requires_grad * size * given[2].shape[2] * given[2].shape[3])
        return size

    assert list(estimate(classifier, [THREE], HALVED))  # what may be smaller is known from now on
    monkeypatch.setattr("phosphene.model.classifier.choose_size", choose)
    gone, _ = gone_through(classifier, HALVED, THREE)
    assert gone == pytest.approx(sum(pixels) / (classifier.batch_size * SIDE * SIDE))
    assert gone <= 5


def test_a_share_of_pixels_is_that_of_the_areas(classifier):
    assert pixel_share(half_size(classifier), classifier) == 0.25
    assert pixel_share(classifier, classifier) == 1


def test_the_network_that_was_halved_is_as_it_was(classifier):
    half = half_size(classifier)
    assert half is not None
    assert (classifier.format.size, half.format.size) == ((SIDE, SIDE), (SMALLEST, SMALLEST))
    assert half.module is classifier.module
    assert half.fingerprint == classifier.fingerprint


def test_where_memory_is_short_the_coarse_stage_takes_fewer_images_too():
    classifier = large(ConvNet(3, 20))
    assert half_size(classifier).batch_size == classifier.batch_size
    assert half_size(classifier.replace(batch_size=2)).batch_size == 2


def test_another_number_of_outputs_is_told():
    with pytest.raises(FailedCheck, match="96 outputs for images of \\(96, 96\\), 192 for those of \\(192, 192\\)"):
        large(ManyAnswers()).resize((SMALLEST, SMALLEST))


@pytest.mark.usefixtures("every_coarse_map_is_kept")
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_coarse_stage_is_the_estimate_at_half_the_size(classifier, name):
    recipe = replace(HALVED, geometry=GEOMETRIES[name]())
    progress = [one.maps() for one in estimate(classifier, [THREE], recipe)]
    alone = [
        one.maps() for one in estimate(half_size(classifier), [THREE], replace(recipe, iterations=4, average_last=0))
    ]
    for whole, half in zip(progress[:4], alone, strict=True):
        torch.testing.assert_close(whole, enlarge(half, classifier.image_shape))
    assert not torch.equal(progress[4], progress[3])
    norm = recipe.geometry.norm(recipe.geometry.encode(progress[-1]), classifier.image_shape)
    assert norm.item() <= recipe.geometry.radius * 1.001


def test_what_half_the_size_does_not_show_is_begun_anew_at_full_size(classifier, five_is_not_seen):
    *_, together = estimate(classifier, [THREE, FIVE], HALVED)
    coarse = [*estimate(half_size(classifier), [THREE, FIVE], replace(HALVED, iterations=4, coarse=0, average_last=0))][
        -1
    ]
    assert [(side, name) for side, name, _ in five_is_not_seen] == [(SMALLEST, "three"), (SMALLEST, "five")]
    for (_, _, asked), made in zip(five_is_not_seen, coarse.maps(), strict=True):
        torch.testing.assert_close(asked, made)
    *_, seen = estimate(classifier, [THREE], HALVED)

    *_, first = iterate(classifier.replace(batch_size=1), [FIVE], HALVED, iterations=range(4))
    *_, anew = iterate(classifier, [FIVE], HALVED, iterations=range(4, 8), start=first.maps())
    assert torch.equal(together.maps(), torch.cat([seen.maps(), anew.maps()]))


class KnownAtFullSize(Pooled):
    """Says hardly anything of smaller images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1.0 if images.shape[2] == SIDE else 1e-3)


@pytest.mark.parametrize(("module", "passes"), [(Pooled, 25), (KnownAtFullSize, 45)])
def test_own_fidelity_at_half_the_size_decides(module, passes):
    recipe = Recipe(iterations=40, views=STILL, coarse=0.5)
    *_, last = estimate(large(module()), [THREE], recipe)
    assert last.passes.tolist() == [passes]


@pytest.mark.usefixtures("every_coarse_map_is_kept")
def test_the_fine_stage_starts_from_the_coarse_map(classifier):
    """The first step of fresh moments moves every coefficient by the step at most."""
    recipe = replace(HALVED, average_last=0)
    coarse, fine = [recipe.geometry.encode(one.maps()) for one in estimate(classifier, [THREE], recipe)][3:5]
    moved = (fine - coarse).abs()
    assert moved.max() < 1.01 * recipe.step
    assert moved.median() > 0.1 * recipe.step


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_both_stages_find_the_weights_of_a_linear_model(share):
    classifier = large(Pooled())
    recipe = Recipe(distribution=Gaussian(), views=STILL, geometry=Pixel(), iterations=10, step=1.0, average_last=0.0,
                    betas=(0.0, 0.99), shared_scale=True, coarse=share)  # fmt: skip
    *_, last = estimate(classifier, [THREE], recipe)
    found = F.adaptive_avg_pool2d(last.maps(), 8)[0]
    assert cosine(found, classifier.module.weight[3].detach()) > 0.97


def test_enlarging_keeps_what_is_the_same_everywhere():
    level = torch.full((2, 3, 96, 96), 0.7)
    torch.testing.assert_close(enlarge(level, (3, 192, 224)), torch.full((2, 3, 192, 224), 0.7))
    assert enlarge(level, (3, 96, 96)) is level


def test_a_recipe_of_before_there_was_a_coarse_stage_means_none():
    record = PRESETS["default"].to_json()
    del record["coarse"]
    assert Recipe.from_json(record).coarse == 0


@pytest.mark.slow
def test_a_streetcar_that_lite0_does_not_see_at_half_the_size_is_found_at_full_size(lite0):
    plain = replace(
        PRESETS["default"], leak=0.0, residual=1.0, geometry=Spectral(gain=0.5, falloff=0.7, colour=(0.3, 0.15))
    )
    recipe = replace(plain, iterations=80, total_variation=0.0)  # with them, so few need another start
    (saliency,) = make_maps(lite0, ["streetcar"], recipe)
    first = 94 + 8  # 14 at half the size, 56 in their place, 24 more; and the importance
    again, rest = divmod(saliency.passes - first, recipe.iterations)
    assert rest == 0
    assert again < recipe.restarts  # on some machines the first attempt is not sure enough
    assert saliency.scores.fidelity.probability > 0.9
