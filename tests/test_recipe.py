"""A recipe survives the way into an artifact and back, and nonsense does not become one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from phosphene.errors import BadInput
from phosphene.recipe.distributions import DISTRIBUTIONS, Flat, Folder, Mixture, Pink
from phosphene.recipe.geometries import GEOMETRIES, Pixel, Spectral
from phosphene.recipe.recipe import PRESETS, SCHEDULES, Recipe
from phosphene.recipe.views import STILL, Views

RECIPES = [
    *PRESETS.values(),
    *(Recipe(distribution=kind()) for kind in DISTRIBUTIONS.values()),
    *(Recipe(geometry=kind()) for kind in GEOMETRIES.values()),
    Recipe(distribution=Mixture((Pink(0.3), Mixture((Flat(), Folder("photographs")))))),
    Recipe(views=STILL, geometry=Spectral(radius=9.0, gain=0.5, falloff=1.3, colour=(0.1, 0.2)), betas=(0.5, 0.75)),
    Recipe(views=Views(0.1, (0.5, 2.0), 90), geometry=Pixel(3.0), samples=7, nudge_steps=3, seed=2**40),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_recipe_survives_json(recipe):
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert again.to_json() == recipe.to_json()


def test_different_recipes_are_told_apart_in_json():
    told = [
        json.dumps(recipe.to_json(), sort_keys=True) for recipe in {repr(recipe): recipe for recipe in RECIPES}.values()
    ]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 0},
        {"samples": 0},
        {"nudge_steps": 0},
        {"refine_every": -1},
        {"step": 0.0},
        {"step": -1.0},
        {"step": math.nan},
        {"step": math.inf},
        {"geometry": Pixel(0.0)},
        {"geometry": Spectral(-1.0)},
        {"tolerance": 1.0},
        {"tolerance": -0.1},
        {"betas": (1.0, 0.9)},
        {"betas": (0.9, -0.1)},
        {"average_last": 1.5},
        {"composition": "add"},
        {"schedule": "linear"},
        {"score": "probability"},
    ],
    ids=str,
)
def test_nonsense_is_refused_with_what_was_expected(change):
    with pytest.raises(BadInput, match="expected"):
        replace(Recipe(), **change)


@pytest.mark.parametrize("numbers", [(9.0, 0.5, (0.1, 0.2)), (9.0, 0.5, 1.0, 0.3), (9.0, "0.5")], ids=str)
def test_a_spectral_geometry_of_other_types_is_refused(numbers):
    """Such as a colour in the place of the falloff."""
    with pytest.raises(BadInput, match="expected numbers"):
        Spectral(*numbers)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_schedules_start_at_the_full_step_and_never_leave_its_range(schedule):
    factors = [schedule(k / 50) for k in range(50)]
    assert factors[0] == 1.0
    assert all(0 < factor <= 1 for factor in factors)
    assert factors == sorted(factors, reverse=True)


def test_the_paper_preset_is_the_papers_method_but_for_score_and_backward_pass():
    paper, default = PRESETS["paper"], PRESETS["default"]
    assert isinstance(paper.geometry, Pixel)
    assert (paper.composition, paper.views, paper.total_variation) == ("clip", STILL, 0)
    assert (paper.score, paper.leak, paper.residual) == (default.score, default.leak, default.residual)
    assert 0 < paper.refine_every < paper.iterations  # in the run, and not at its end alone
    assert (paper.average_last, paper.coarse, paper.restarts) == (0, 0, 1)


def test_fast_is_faster_and_best_takes_longer_than_the_default():
    assert PRESETS["fast"].iterations < PRESETS["default"].iterations < PRESETS["best"].iterations
    half = PRESETS["default"].coarse * PRESETS["default"].iterations
    assert PRESETS["default"].iterations - 0.75 * half <= 128  # passes, those of half the side counted as a quarter
