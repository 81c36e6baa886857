"""Restarts: only of maps that the model does not see, the surest is kept, and the same map whatever is made beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

import phosphene.method.restarts
from models import colour_classifier, linear_classifier
from phosphene.core.seeding import make_generator
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.multires import estimate
from phosphene.method.restarts import VIEWS_KEPT, best_of_restarts, weaken_views
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL, Views
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.make import make_maps

STEADY = Recipe(views=STILL, restarts=3)
THREE, FIVE = Classes((3,), "three"), Classes((5,), "five")


@dataclass(frozen=True)
class Drawn:
    map: torch.Tensor
    passes: float = 7.0


@pytest.fixture
def planted():
    """Each class has a pattern of its own that no noise speaks for."""
    weight = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return linear_classifier(weight=weight - weight.mean(dim=(2, 3), keepdim=True))


def maker(classifier, strengths):
    """Makes the pattern of the class as strong as `strengths` has it for each restart, and records what it was asked."""
    asked = []

    def make(model, concepts, recipe, restart):
        asked.append([(concept.name, restart) for concept in concepts])
        rows = classifier.module.weight.detach()
        return [Drawn(strengths[concept.name][restart] * rows[concept.targets[0]]) for concept in concepts]

    return make, asked


def test_a_map_that_the_model_sees_is_not_made_again(planted):
    make, asked = maker(planted, {"three": [20.0], "five": [20.0]})
    kept = best_of_restarts(planted, [THREE, FIVE], STEADY, make)
    assert [(one.restarts, one.passes) for one in kept] == [(1, 7.0), (1, 7.0)]
    assert asked == [[("three", 0), ("five", 0)]]


def test_only_what_is_not_seen_is_made_again_and_the_surest_is_kept(planted):
    strengths = {"three": [0.0, 0.02, 0.01], "five": [20.0]}
    make, asked = maker(planted, strengths)
    three, five = best_of_restarts(planted, [THREE, FIVE], STEADY, make)
    assert asked == [[("three", 0), ("five", 0)], [("three", 1)], [("three", 2)]]
    assert torch.equal(three.estimate.map, 0.02 * planted.module.weight[3])
    assert three.fidelity == measure_fidelity(planted, THREE, three.estimate.map, STEADY)
    assert (three.restarts, five.restarts) == (3, 1)
    assert (three.passes, five.passes) == (21.0, 7.0)


def test_no_more_are_made_than_it_takes_to_be_seen(planted):
    make, asked = maker(planted, {"three": [0.0, 20.0]})
    (three,) = best_of_restarts(planted, [THREE], STEADY, make)
    assert asked == [[("three", 0)], [("three", 1)]]
    assert torch.equal(three.estimate.map, 20.0 * planted.module.weight[3])
    assert (three.restarts, three.kept_start, three.passes) == (2, 2, 14.0)


def test_the_first_map_stays_where_no_other_is_surer(planted):
    make, _ = maker(planted, {"three": [0.02, 0.0, -1.0]})
    (three,) = best_of_restarts(planted, [THREE], STEADY, make)
    assert torch.equal(three.estimate.map, 0.02 * planted.module.weight[3])
    assert (three.restarts, three.kept_start) == (3, 1)


def test_a_restart_is_made_at_full_size_and_without_padding(planted):
    asked = []

    def make(model, concepts, recipe, restart):
        asked.append((model.batch_size, recipe.coarse))
        return [Drawn(torch.zeros(3, 16, 16)) for _ in concepts]

    wide = planted.replace(batch_size=8)
    best_of_restarts(wide, [THREE], replace(STEADY, coarse=0.5, samples=2), make)
    assert asked == [(8, 0.5), (2, 0.0), (2, 0.0)]


def test_views_weaken_from_the_third_start_on_and_the_map_is_measured_under_its_own(planted):
    """The pattern shrinks to what only a fixed place lets the class be seen by."""
    recipe, asked = replace(STEADY, views=Views(shift=0.2, zoom=(0.5, 1.0), rotation=20.0), restarts=6), []

    def make(model, concepts, recipe, restart):
        asked.append(recipe.views)
        return [Drawn(0.2 * planted.module.weight[3])]

    (three,) = best_of_restarts(planted, [THREE], recipe, make)
    assert asked == [recipe.views, recipe.views, Views(0.1, (0.75, 1.0), 10.0), Views(0.05, (0.875, 1.0), 5.0), STILL]
    assert three.views_kept == 0
    assert three.fidelity == measure_fidelity(planted, THREE, three.estimate.map, replace(recipe, views=STILL))
    assert three.fidelity.probability > 0.9 > measure_fidelity(planted, THREE, three.estimate.map, recipe).probability


def test_maps_of_a_batch_are_finished_each_under_its_own_views(planted, tmp_path):
    """A class that is seen moved, beside one that is seen in its place only: as each is alone."""
    weight = planted.module.weight.detach().clone()
    weight[5] = torch.tensor([2.0, 0.0, -2.0]).view(3, 1, 1)  # red anywhere
    model = linear_classifier(weight=weight)
    recipe = Recipe(views=Views(shift=0.3, zoom=(0.5, 1.0), rotation=40.0), iterations=12, restarts=5, score="margin")
    together = list(make_maps(model, [3, 5], recipe, out=tmp_path))
    assert [one.scores.views_kept < 1 for one in together] == [True, False]
    assert ["weaker-views" in one.checks for one in together] == [True, False]
    assert all(Recipe.from_json(one.recipe) == recipe for one in together)
    for index, one in zip((3, 5), together, strict=True):
        (alone,) = make_maps(model, [index], recipe)
        assert torch.equal(alone.map, one.map)
        assert alone.scores == one.scores
    assert len(make_maps(model, [3, 5], recipe, out=tmp_path)) == 2  # finished: nothing is another recipe's


def test_without_views_there_are_none_to_weaken(planted):
    make, _ = maker(planted, {"three": [0.0, 0.0, 0.0, 20.0]})
    (three,) = best_of_restarts(planted, [THREE], replace(STEADY, restarts=4), make)
    assert (three.restarts, three.views_kept) == (4, 1.0)


def test_a_single_start_is_never_repeated(planted):
    make, asked = maker(planted, {"three": [0.0]})
    (three,) = best_of_restarts(planted, [THREE], replace(STEADY, restarts=1), make)
    assert three.restarts == 1
    assert len(asked) == 1


def test_each_restart_has_draws_of_its_own_and_always_the_same():
    draws = [torch.rand(4, generator=make_generator(0, "three", 5, restart)).tolist() for restart in (0, 1, 2, 1)]
    assert draws[1] == draws[3]
    assert len({tuple(one) for one in draws}) == 3


UNSURE = Recipe(iterations=6, restarts=3)


@pytest.fixture
def nothing_is_sure(monkeypatch):
    monkeypatch.setattr(phosphene.method.restarts, "RESTART_BELOW", 1.1)


def test_the_map_is_the_most_faithful_of_estimates_made_one_by_one(nothing_is_sure):
    classifier = colour_classifier()
    fast, chosen = classifier.fold(), []
    for index in range(10):
        concept = Classes((index,), classifier.labels[index])
        made, sure = [], []
        alone = fast.replace(batch_size=1)
        for restart, model in enumerate((fast, alone, alone)):
            weaker = weaken_views(UNSURE, VIEWS_KEPT[restart])
            *_, last = estimate(model, [concept], weaker, restart=restart)
            made.append(last.maps()[0])
            sure.append(measure_fidelity(fast, concept, made[-1], weaker).probability)
        chosen.append(sure.index(max(sure)))
        (saliency,) = make_maps(classifier, [str(index)], UNSURE)
        assert torch.equal(saliency.map, made[chosen[-1]])
        assert saliency.scores.fidelity.probability == max(sure)
        assert saliency.scores.restarts == 3
        assert saliency.passes == 3 * 6 + 8
    assert len(set(chosen)) > 1  # or the choice would not have been tested


def test_a_restarted_map_does_not_depend_on_what_is_made_beside_it(nothing_is_sure):
    classifier = colour_classifier()
    alone = [make_maps(classifier, [str(index)], UNSURE)[0] for index in range(5)]
    together = make_maps(classifier, [str(index) for index in range(5)], UNSURE)
    assert all(torch.equal(one.map, other.map) for one, other in zip(alone, together, strict=True))


def test_progress_counts_what_was_planned(nothing_is_sure):
    planned, iterated = [], []
    callbacks = Callbacks(on_start=lambda maps, iterations: planned.append(iterations), on_iterations=iterated.append)
    make_maps(colour_classifier(), ["1", "2"], UNSURE, callbacks=callbacks)
    assert sum(iterated) == planned[0] == 12


def test_a_recipe_from_before_restarts_means_one_start():
    record = PRESETS["default"].to_json()
    del record["restarts"]
    assert Recipe.from_json(record).restarts == 1
