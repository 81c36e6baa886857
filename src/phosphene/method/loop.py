"""The method: draw, nudge, accumulate, project, until a map of the concept stands.

Each iteration draws samples `x_k ~ D` and views `τ_k ~ T`, nudges them towards the concept,

    g_k = ∇_m [ −s_κ( f(x_k ⊕ τ_k m) ) ],

accumulates the mean of `g_k` into bias-corrected moments (∫), steps along their ratio, and projects the map onto the
ball of the geometry (Ψ). Nothing but the model's gradients enters the map, which starts at zero.

Source: N. Akhtar, M. A. A. K. Jalwana, "Rethinking interpretation: input-agnostic saliency mapping of deep visual
classifiers", AAAI 2023, https://arxiv.org/abs/2303.17836, figure 2; docs/method.md names each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.method.moments import Moments, TailMean
from phosphene.method.nudge import nudge, walk
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.draws import draw
from phosphene.recipe.recipe import SCHEDULES, Recipe

Refine = Callable[[Tensor], Tensor]  # coefficients → refined coefficients


@dataclass(frozen=True)
class Progress:
    """One iteration done: the mean score of each concept before its step, and the map so far on request."""

    iteration: int
    scores: Tensor  # (concepts,)
    passes: Tensor  # (concepts,), forward and backward, one of fewer pixels counted by its share of them
    coefficients: Tensor
    decode: Callable[[Tensor], Tensor]

    def maps(self) -> Tensor:
        """The signed maps so far, float32 `(concepts, C, H, W)`, inside the geometry's ball."""
        return self.decode(self.coefficients)


def iterate(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    *,
    iterations: range | None = None,
    start: Tensor | None = None,
    refine: Refine | None = None,
    restart: int = 0,
) -> Iterator[Progress]:
    """Nudge samples of `recipe.distribution` towards each concept and accumulate the gradients into one map a concept.

    Runs the given `iterations` of the recipe, by default all, from zero maps or from the maps `start` `(concepts, C, H,
    W)`. `refine` is applied to the coefficients every `recipe.refine_every` iterations. Yields a `Progress` an
    iteration; the last one carries the finished maps.
    """
    geometry, schedule, shape = recipe.geometry, SCHEDULES[recipe.schedule], classifier.image_shape
    nudge_samples = nudge if recipe.nudge_steps == 1 else walk
    project = partial(geometry.project, shape=shape)
    refine_on_time = _refine_every(recipe.refine_every, refine, project)
    origin = geometry.start(len(concepts), shape).to(classifier.device)
    coefficients = origin if start is None else project(geometry.encode(start))
    moments = Moments.zero(coefficients, recipe.betas, recipe.shared_scale)
    tail = TailMean(recipe.iterations - max(1, round(recipe.average_last * recipe.iterations)), coefficients)
    for iteration in iterations or range(recipe.iterations):
        generators = [make_generator(recipe.seed, concept.name, iteration, restart) for concept in concepts]
        draws = draw(recipe.distribution, recipe.views, generators, recipe.samples, shape)
        progress = iteration / recipe.iterations
        now = replace(recipe, total_variation=progress * recipe.total_variation)
        gradient, scores = nudge_samples(classifier, concepts, coefficients, draws, now)
        moments = moments.add(gradient)
        coefficients = project(moments.move(coefficients, recipe.step * schedule(progress)))
        coefficients = refine_on_time(iteration, coefficients)
        tail = tail.add(iteration, coefficients)
        passes = torch.full((len(concepts),), float(moments.count * recipe.samples * recipe.nudge_steps))
        yield Progress(iteration, scores, passes, tail.mean, partial(geometry.decode, shape=shape))


def _refine_every(period: int, refine: Refine | None, project: Refine) -> Callable[[int, Tensor], Tensor]:
    """Refinement in every `period`-th iteration, projected again: masking may lengthen a map in its geometry."""
    if refine is None or period == 0:
        return lambda iteration, coefficients: coefficients
    return lambda iteration, coefficients: (
        project(refine(coefficients)) if (iteration + 1) % period == 0 else coefficients
    )
