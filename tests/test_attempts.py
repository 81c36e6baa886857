"""Starting again: only maps that the model does not see, the surest of all attempts, and the same map in any company."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

import phosphene.method.restarts
from models import colour_classifier, linear_classifier
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.multires import estimate
from phosphene.method.restarts import Again, surest
from phosphene.recipe.concepts import Channel, Classes, layer_of
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
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
    """Makes the pattern of the class as strong as its name says, and remembers what it was asked for."""
    asked = []

    def make(model, concepts, recipe):
        asked.append([concept.name for concept in concepts])
        rows = classifier.module.weight.detach()
        return [Drawn(strengths[concept.name] * rows[concept.targets[0]]) for concept in concepts]

    return make, asked


def test_a_map_that_the_model_sees_is_not_made_again(planted):
    make, asked = maker(planted, {"three": 20.0, "five": 20.0})
    kept = surest(planted, [THREE, FIVE], STEADY, make)
    assert [(one.attempts, one.passes) for one in kept] == [(1, 7.0), (1, 7.0)]
    assert asked == [["three", "five"]]


def test_only_what_is_not_seen_is_made_again_and_the_surest_is_kept(planted):
    strengths = {"three": 0.0, "three/again 1": 0.02, "three/again 2": 0.01, "five": 20.0}
    make, asked = maker(planted, strengths)
    three, five = surest(planted, [THREE, FIVE], STEADY, make)
    assert asked == [["three", "five"], ["three/again 1"], ["three/again 2"]]
    assert torch.equal(three.made.map, 0.02 * planted.module.weight[3])
    assert three.fidelity == measure_fidelity(planted, THREE, three.made.map, STEADY)
    assert (three.attempts, five.attempts) == (3, 1)
    assert (three.passes, five.passes) == (21.0, 7.0)


def test_no_more_are_made_than_it_takes_to_be_seen(planted):
    make, asked = maker(planted, {"three": 0.0, "three/again 1": 20.0})
    (three,) = surest(planted, [THREE], STEADY, make)
    assert asked == [["three"], ["three/again 1"]]
    assert torch.equal(three.made.map, 20.0 * planted.module.weight[3])
    assert (three.attempts, three.passes) == (2, 14.0)


def test_the_first_map_stays_where_no_other_is_surer(planted):
    make, _ = maker(planted, {"three": 0.02, "three/again 1": 0.0, "three/again 2": -1.0})
    (three,) = surest(planted, [THREE], STEADY, make)
    assert torch.equal(three.made.map, 0.02 * planted.module.weight[3])
    assert three.attempts == 3


def test_another_attempt_is_made_at_full_size_and_without_empty_rows(planted):
    asked = []

    def make(model, concepts, recipe):
        asked.append((model.batch_size, recipe.coarse))
        return [Drawn(torch.zeros(3, 16, 16)) for _ in concepts]

    planted.batch_size = 8
    surest(planted, [THREE], replace(STEADY, coarse=0.5, samples=2), make)
    assert asked == [(8, 0.5), (2, 0.0), (2, 0.0)]
    assert planted.batch_size == 8


def test_one_attempt_is_no_other(planted):
    make, asked = maker(planted, {"three": 0.0})
    (three,) = surest(planted, [THREE], replace(STEADY, restarts=1), make)
    assert three.attempts == 1
    assert len(asked) == 1


def test_another_attempt_asks_the_same_of_the_model():
    outputs = torch.randn(6, 9, generator=torch.Generator().manual_seed(1))
    channel = Channel("blocks.1", (4,), "blocks.1:4")
    assert torch.equal(Again(channel, 2).score(outputs), channel.score(outputs))
    assert (layer_of(Again(channel, 2)), Again(channel, 2).targets) == ("blocks.1", (4,))
    assert layer_of(Again(THREE, 1)) is None


UNSURE = Recipe(iterations=6, restarts=3)


@pytest.fixture
def nothing_is_sure(monkeypatch):
    monkeypatch.setattr(phosphene.method.restarts, "SURE", 1.1)


def test_the_map_is_the_most_faithful_of_estimates_made_one_by_one(nothing_is_sure):
    classifier = colour_classifier()
    fast, chosen = classifier.fold(), []
    for index in range(10):
        concept = Classes((index,), classifier.labels[index])
        made = []
        alone = fast.with_rows(1)
        for model, asked in ((fast, concept), (alone, Again(concept, 1)), (alone, Again(concept, 2))):
            *_, last = estimate(model, [asked], UNSURE)
            made.append(last.maps()[0])
        sure = [measure_fidelity(fast, concept, one, UNSURE).probability for one in made]
        chosen.append(sure.index(max(sure)))
        (saliency,) = make_maps(classifier, [str(index)], UNSURE)
        assert torch.equal(saliency.map, made[chosen[-1]])
        assert saliency.scores.fidelity.probability == max(sure)
        assert saliency.scores.restarts == 3
        assert saliency.passes == 3 * 6 + 8
    assert len(set(chosen)) > 1  # or the choice would not have been tested


def test_a_map_that_was_started_again_does_not_depend_on_its_company(nothing_is_sure):
    classifier = colour_classifier()
    alone = [make_maps(classifier, [str(index)], UNSURE)[0] for index in range(5)]
    together = make_maps(classifier, [str(index) for index in range(5)], UNSURE)
    assert all(torch.equal(one.map, other.map) for one, other in zip(alone, together, strict=True))


def test_progress_counts_what_was_planned(nothing_is_sure):
    planned, iterated = [], []
    listener = Callbacks(on_start=lambda maps, iterations: planned.append(iterations), on_iterations=iterated.append)
    make_maps(colour_classifier(), ["1", "2"], UNSURE, callbacks=listener)
    assert sum(iterated) == planned[0] == 12


def test_a_recipe_of_before_there_were_attempts_means_one():
    record = PRESETS["default"].to_json()
    del record["restarts"]
    assert Recipe.from_json(record).attempts == 1
