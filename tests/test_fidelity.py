"""Fidelity of models whose answer is known beforehand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from models import colour_classifier, linear_classifier
from phosphene.method.fidelity import UNSEEN, Fidelity, measure_fidelities, measure_fidelity, measure_fidelity_above
from phosphene.method.recognition import measure_recognition, top_classes
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Flat, Grey
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL, Views

STEADY = Recipe(views=STILL)
THREE = Classes((3,), "three")


@pytest.fixture
def planted():
    """Each class has a pattern of its own, balanced so that no flat colour and no noise speaks for any class."""
    weight = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weight = weight - weight.mean(dim=(2, 3), keepdim=True)
    return linear_classifier(weight=weight)


@pytest.mark.parametrize("distribution", [None, *UNSEEN.values()], ids=["own", *UNSEEN])
def test_the_planted_pattern_is_seen_on_every_distribution(planted, distribution):
    measured = measure_fidelity(planted, THREE, 20 * planted.module.weight[3].detach(), STEADY, distribution)
    assert measured.probability > 0.999
    assert measured.top1 == 1.0


def test_the_pattern_of_another_class_is_not_seen(planted):
    measured = measure_fidelity(planted, THREE, 20 * planted.module.weight[5].detach(), STEADY)
    assert measured.probability < 1e-3
    assert measured.top1 == 0.0


def test_the_zero_map_gives_chance_on_grey(planted):
    measured = measure_fidelity(planted, THREE, torch.zeros(3, 16, 16), replace(STEADY, distribution=Grey(0.0)))
    assert measured.probability == pytest.approx(1 / 8, rel=1e-4)


def test_a_fidelity_is_the_mean_over_the_samples():
    """Classes that see the left and the right half: a flat colour above or below grey decides for one of them."""
    weight = torch.zeros(2, 1, 4, 4)
    weight[1] = 100.0
    classifier = linear_classifier(weight=weight)
    classifier.module.bias.data[0] = 800.0  # the balance tips at 0.5
    measured = measure_fidelity(classifier, Classes((1,), "bright"), torch.zeros(1, 4, 4), STEADY, Flat(), samples=400)
    assert measured.top1 == pytest.approx(0.5, abs=0.08)
    assert measured.probability == pytest.approx(measured.top1, abs=0.02)


def test_the_probability_of_a_set_is_the_sum(planted):
    both = parse("3, 5", planted.labels)
    m = 20 * (planted.module.weight[3] + planted.module.weight[5]).detach()
    one, other, together = (
        measure_fidelity(planted, concept, m, STEADY) for concept in (THREE, Classes((5,), "five"), both)
    )
    assert together.top1 == 1.0
    assert together.probability > 0.999 >= max(one.probability, other.probability) - 1e-3


def test_views_move_the_map_under_the_measure(planted):
    """A model that knows the pattern only where it is does not see it elsewhere."""
    m = 20 * planted.module.weight[3].detach()
    moved = measure_fidelity(planted, THREE, m, Recipe(views=Views(shift=0.3)))
    assert moved.probability < 0.9


def test_all_maps_of_a_concept_meet_the_same_fresh_draws(planted):
    m = torch.stack([planted.module.weight[k].detach() for k in range(3)]) / 30
    assert measure_fidelities(planted, THREE, m, STEADY) == [measure_fidelity(planted, THREE, one, STEADY) for one in m]
    assert measure_fidelity(planted, THREE, m[0], STEADY) != measure_fidelity(
        planted, THREE, m[0], replace(STEADY, seed=1)
    )


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.1, 0.15, 0.2, 1.0])
@pytest.mark.parametrize("floor", [Fidelity(0.0, 0.0), Fidelity(0.3, 0.0), Fidelity(0.3, 0.6), Fidelity(0.95, 1.0)])
def test_giving_up_early_changes_no_outcome(planted, strength, floor):
    """Measured against all draws; the last map and the first floor are there to see both outcomes."""
    m = strength * planted.module.weight[3].detach()
    recipe = Recipe(views=Views(shift=0.02))
    whole, early = measure_fidelity(planted, THREE, m, recipe), measure_fidelity_above(planted, THREE, m, recipe, floor)
    assert early == (whole if whole.probability >= floor.probability and whole.top1 >= floor.top1 else None)


def test_a_hopeless_map_is_given_up_after_the_first_pass(planted, monkeypatch):
    passes = []
    forward = planted.module.forward
    monkeypatch.setattr(planted.module, "forward", lambda x: (passes.append(len(x)), forward(x))[1])
    m = planted.module.weight[5].detach()
    assert measure_fidelity_above(planted, THREE, 20 * m, STEADY, Fidelity(0.95, 1.0)) is None
    assert len(passes) == 1


def test_measuring_restores_the_model():
    classifier = colour_classifier()
    classifier.module.train()
    measure_fidelity(classifier, THREE, torch.zeros(classifier.image_shape), STEADY)
    assert all(part.training for part in classifier.module.modules())


def test_top_classes_are_sorted_probabilities(planted):
    pictures = torch.sigmoid(20 * planted.module.weight.detach())[[6, 2]]
    first, second = top_classes(planted, pictures, 3)
    assert (first[0][0], second[0][0]) == (6, 2)
    shares = [share for _, share in first]
    assert shares == sorted(shares, reverse=True)
    assert sum(share for _, share in top_classes(planted, pictures, 50)[0]) == pytest.approx(1)
    assert len(top_classes(planted, pictures, 50)[0]) == 8


def test_recognition_is_top_1_and_log_probability_of_each_picture(planted):
    pictures = torch.sigmoid(20 * planted.module.weight.detach())[[6, 2]]
    right = measure_recognition(planted, [Classes((6,), "six"), Classes((2,), "two")], pictures)
    assert right[:, 0].tolist() == [1.0, 1.0]
    assert (right[:, 1] > math.log(0.99)).all()
    wrong = measure_recognition(planted, [Classes((2,), "two"), Classes((6,), "six")], pictures)
    assert wrong[:, 0].tolist() == [0.0, 0.0]
    assert (wrong[:, 1] < -2).all()


def test_recognition_resizes_to_the_models_own_size(lite0):
    pictures = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    assert measure_recognition(lite0, [Classes((0,), "zero")], pictures).shape == (1, 2)
