"""Squares of a fixed side: where they lie, what they are worth, and that they see a loud corner."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import models
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.margins import margin, mean_margins
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.squares import Squares, lay_squares, list_places, measure_squares
from phosphene.scanner.surrogates import Surrogates, render_surrogates

SETTINGS = Settings(surrogates=2, surrogate_iterations=12)


def make_surrogates(classifier: Classifier) -> Surrogates:
    return render_surrogates(classifier, list(range(len(classifier.labels))), count=2, iterations=12, seed=0)


def plant_corner(loudness: float) -> Classifier:
    """Smooth rows; four pixels of one corner speak so loudly for class 6."""
    coarse = torch.randn(10, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    weight = torch.nn.functional.interpolate(coarse, size=(12, 12), mode="bicubic") * 0.3
    weight[6, 0, 1:3, 1:3] += loudness
    return models.linear_classifier(weight=weight)


@given(st.integers(8, 70), st.integers(8, 70))
def test_the_places_of_a_square_cover_the_image_and_stay_inside(height, width):
    places, side = list_places(height, width)
    covered = torch.zeros(height, width)
    for top, left in places:
        assert 0 <= top <= height - side
        assert 0 <= left <= width - side
        covered[top : top + side, left : left + side] = 1
    assert bool(covered.all())
    assert len(set(places)) == len(places)


def test_squares_lie_where_their_corners_are_on_every_image():
    generator = torch.Generator().manual_seed(1)
    images, patterns = torch.rand(3, 2, 9, 11, generator=generator), torch.rand(3, 2, 3, 3, generator=generator)
    corners = torch.tensor([[0, 0], [6, 8], [2, 5]])
    stamped = lay_squares(images, corners, patterns)
    for which, (top, left) in enumerate(corners.tolist()):
        expected = images.clone()
        expected[:, :, top : top + 3, left : left + 3] = patterns[which]
        assert torch.equal(stamped[which], expected)


def test_a_loud_corner_is_seen_by_its_margin_and_the_louder_the_more():
    found = []
    for loudness in (0.0, 6.0, 12.0):
        classifier = prepare_classifier(plant_corner(loudness))
        margins = measure_squares(classifier, make_surrogates(classifier), SETTINGS)
        found.append(float(margins[6] - margins.median()))
        assert loudness == 0 or int(margins.argmax()) == 6
    assert found[0] + 3 < found[1] < found[2] - 3


def test_a_square_is_no_worse_than_the_best_of_all_squares_of_one_colour():
    """The slow reference tries black and white at every place on the same images."""
    classifier = prepare_classifier(plant_corner(6.0))
    surrogates = make_surrogates(classifier)
    images = surrogates.draw([6], 16, SETTINGS.square_iterations)[0]
    places, side = list_places(12, 12)
    best = -torch.inf
    for place in places:
        for colour in (0.0, 1.0):
            stamped = lay_squares(images, torch.tensor([place]), torch.full((1, 1, side, side), colour))[0]
            best = max(best, float(margin(classifier(stamped), torch.full((len(stamped),), 6)).mean().detach()))
    assert float(measure_squares(classifier, surrogates, SETTINGS)[6]) >= best - 0.3


def test_mean_margins_are_those_of_equal_parts_and_no_image_outvotes_the_others():
    logits, targets = torch.tensor([[5.0, 0.0], [900.0, 0.0], [0.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0, 0, 1])
    assert mean_margins(logits, targets, 2).tolist() == [12.5, 1.0]


@pytest.mark.parametrize("changes", [{"square_iterations": 0}, {"square_classes": 9}])
def test_without_iterations_or_with_too_many_classes_nothing_is_measured_and_nothing_costs(changes):
    classifier, settings = prepare_classifier(plant_corner(0.0)), replace(SETTINGS, **changes)
    measured = Squares().measure(Context(classifier, settings))
    assert not measured.classes
    assert Squares().cost(settings, ModelSize.of(classifier)) == 0
