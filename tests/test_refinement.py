"""Refinement: the law that no accepted mask breaks, and where masks come from."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import phosphene.method.refinement as refinement
from models import colour_classifier, grey_classifier, linear_classifier
from phosphene.method.fidelity import Fidelity, measure_fidelities
from phosphene.method.importance import compute_importance
from phosphene.method.multires import estimate
from phosphene.method.refinement import (
    LAYERS,
    USEFUL_AREAS,
    feature_activations,
    keeps_fidelity,
    make_masks,
    mean_positive_activation,
    otsu_threshold,
    refine,
)
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.recipe.concepts import Classes
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.make import make_maps


def estimated(classifier, concepts, recipe):
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps()


def assert_law(classifier, concepts, maps, recipe):
    """Whatever is accepted keeps (1 − ε) of the fidelity, measured again here; whatever is not leaves the map alone."""
    results = refine(classifier, concepts, maps, recipe)
    for concept, m, result in zip(concepts, maps, results, strict=True):
        before, after = measure_fidelities(classifier, concept, torch.stack([m, result.mask * m]), recipe)
        assert after.probability >= (1 - recipe.tolerance) * before.probability
        assert after.top1 >= (1 - recipe.tolerance) * before.top1
        assert (result.before, result.after) == (before, after)
        assert 0 <= result.mask.min() <= result.mask.max() <= 1
        if result.layer is None:
            assert (result.mask == 1).all()
        else:
            assert result.area == pytest.approx(result.mask.mean().item())
            assert USEFUL_AREAS[0] <= result.area <= USEFUL_AREAS[1]
    return results


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize("make", [colour_classifier, grey_classifier])
def test_the_refinement_law_holds_for_small_nets(make, preset):
    classifier = make().fold()
    concepts = [Classes((k,), str(k)) for k in range(10)]
    recipe = replace(PRESETS[preset], iterations=25, refine_every=0)
    maps = estimated(classifier, concepts, recipe)
    results = assert_law(classifier, concepts, maps, recipe)
    assert any(result.layer is not None for result in results)


def test_the_refinement_law_holds_for_lite0(lite0):
    classifier = lite0.fold()
    concepts = [parse(name, lite0.labels) for name in ("goldfish", "zebra")]
    recipe = replace(PRESETS["fast"], iterations=5)
    assert_law(classifier, concepts, estimated(classifier, concepts, recipe), recipe)


def test_the_layers_of_lite0_are_tried_from_deep_to_shallow(lite0):
    activations = feature_activations(lite0, torch.full((1, 3, 224, 224), 0.5))
    sizes = [tuple(activation.shape[1:]) for activation in activations.values()]
    assert sizes == [(7, 7), (14, 14), (28, 28), (56, 56), (112, 112)][:LAYERS]


def test_a_map_for_which_no_mask_passes_stays_unrefined_and_says_so():
    """A linear model has no feature map at all."""
    classifier = linear_classifier((3, 16, 16))
    (saliency,) = make_maps(classifier, ["1"], Recipe(iterations=5))
    assert "unrefined" in saliency.checks
    assert (saliency.mask == 1).all()
    assert torch.equal(saliency.picture, saliency.raw_picture)


def test_masks_that_all_break_the_law_are_all_refused(monkeypatch):
    """A blank picture is not top-1 for class 2."""
    classifier, concept = colour_classifier(), Classes((2,), "two")
    recipe = Recipe(iterations=25)
    maps = estimated(classifier, [concept], recipe)
    monkeypatch.setattr(refinement, "make_masks", lambda activation, size: [torch.zeros(size)])
    (result,) = refine(classifier, [concept], maps, recipe)
    assert result.layer is None
    assert (result.mask == 1).all()
    assert result.before == result.after


def test_the_law_measures_the_very_map_that_is_shown():
    """Scores and picture of an artifact are of `mask ⊙ map`."""
    classifier = colour_classifier()
    recipe = Recipe(iterations=25)
    (saliency,) = make_maps(classifier, ["7"], recipe)
    concept, refined = parse("7", classifier.labels), saliency.map * saliency.mask
    (after,) = measure_fidelities(classifier.fold(), concept, refined[None], recipe)
    assert saliency.scores.refined_fidelity == after
    scale = display_scale(saliency.map[None], recipe)
    assert torch.equal(render_pictures(refined[None], recipe, scale)[0], saliency.picture)


@pytest.mark.parametrize(
    ("probability", "top1", "expected"),
    [
        (0.8, 1.0, True),
        (0.7601, 1.0, True),
        (0.7599, 1.0, False),
        (0.8, 0.951, True),
        (0.8, 0.949, False),
        (1.0, 0.0, False),
    ],
)
def test_a_mask_keeps_fidelity_up_to_the_tolerance_and_no_further(probability, top1, expected):
    assert keeps_fidelity(Fidelity(0.8, 1.0), Fidelity(probability, top1), 0.05) is expected


def test_without_tolerance_equal_fidelity_is_kept():
    assert keeps_fidelity(Fidelity(0.3, 0.5), Fidelity(0.3, 0.5), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_otsus_threshold_is_that_of_scikit_image(seed):
    filters = pytest.importorskip("skimage.filters")
    chance = np.random.default_rng(seed)
    low, high = chance.normal(0.2, 0.08, 600), chance.normal(0.7, 0.1, 200 * seed + 100)
    values = np.clip(np.concatenate([low, high]), 0, 1)
    values = (values - values.min()) / (values.max() - values.min())
    assert otsu_threshold(torch.from_numpy(values)) == pytest.approx(
        filters.threshold_otsu(values, nbins=256), abs=1 / 256
    )


def test_masks_get_looser_and_stay_in_range():
    activation = torch.rand(7, 9, generator=torch.Generator().manual_seed(0)) + 0.2
    found = make_masks(activation, (28, 36))
    assert len(found) > 1
    for strict, loose in itertools.pairwise(found):
        assert (loose >= strict).all()
    assert all(mask.shape == (28, 36) and 0 <= mask.min() <= mask.max() <= 1 for mask in found)


def test_a_mask_lies_where_the_activation_is():
    activation = torch.zeros(8, 8)
    activation[1:3, 4:7] = 1.0
    mask = make_masks(activation, (32, 32))[0]
    assert mask[6:10, 18:26].min() > 0.9
    assert mask[20:].max() < 0.1


def test_a_dead_layer_gives_masks_that_are_finite():
    assert all(mask.isfinite().all() for mask in make_masks(torch.zeros(7, 7), (28, 28)))


def test_feature_maps_and_tokens_become_one_plane():
    planes = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    expected = planes.relu().mean(dim=1)
    torch.testing.assert_close(mean_positive_activation(planes), expected)

    square = torch.randn(2, 12, 6, 6, generator=torch.Generator().manual_seed(1))
    for prefix in (0, 1, 5):
        tokens = torch.cat([torch.full((2, 12, prefix), 99.0), square.flatten(2)], dim=2)
        torch.testing.assert_close(mean_positive_activation(tokens), square.relu().mean(dim=1))
    assert mean_positive_activation(torch.randn(2, 10)) is None
    assert mean_positive_activation(torch.randn(2, 12, 5)) is None


class Tokens(torch.nn.Module):
    """The shape of a ViT: patches as tokens behind a class token."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches, self.head = torch.nn.Conv2d(3, 24, 4, stride=4), torch.nn.Linear(24, 5)
            self.mix = torch.nn.TransformerEncoderLayer(24, 2, 32, dropout=0.0, batch_first=True)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        return 10 * self.head(self.mix(tokens)[:, 0])


def test_a_vision_transformer_has_feature_maps():
    from phosphene.model.classifier import Classifier
    from phosphene.model.input_format import InputFormat

    classifier = Classifier(Tokens(), InputFormat((32, 32)))
    activations = feature_activations(classifier, torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert next(iter(activations)).startswith("mix")
    assert next(iter(activations.values())).shape == (2, 8, 8)


# Importance -------------------------------------------------------------------------------------------------------


def test_importance_lies_where_the_model_looks():
    """Only the upper left corner of the image moves the score: the evidence is there, whatever the map holds elsewhere."""
    weight = torch.zeros(2, 3, 40, 40)
    weight[1, :, 4:12, 4:12] = 1.0
    classifier = linear_classifier(weight=weight)
    m = torch.ones(1, 3, 40, 40)
    (plane,) = compute_importance(classifier, [Classes((1,), "corner")], m, Recipe(views=STILL))
    assert plane.shape == (40, 40)
    assert plane[6:10, 6:10].min() > 0.8
    assert plane[20:, 20:].max() < 1e-3
    assert plane.max() == pytest.approx(1.0)


def test_importance_does_not_depend_on_the_company():
    classifier = colour_classifier().fold()
    concepts = [Classes((k,), str(k)) for k in range(3)]
    maps = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    together = compute_importance(classifier, concepts, maps, Recipe())
    torch.testing.assert_close(together[1:2], compute_importance(classifier, concepts[1:2], maps[1:2], Recipe()))
