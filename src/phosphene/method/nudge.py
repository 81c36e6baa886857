"""Nudge: the gradient that moves each sample's map towards its concept, step 2 of an iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from phosphene.method.backward import change_backward
from phosphene.method.total_variation import add_total_variation
from phosphene.model.classifier import Classifier
from phosphene.model.readout import read
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.concepts import Concept
from phosphene.recipe.draws import Draws, overlay
from phosphene.recipe.recipe import Recipe

Nudge = Callable[[Classifier, Sequence[Concept], Tensor, Draws, Recipe], tuple[Tensor, Tensor]]


def nudge(
    classifier: Classifier, concepts: Sequence[Concept], coefficients: Tensor, draws: Draws, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Mean over the samples of `g_k`, shaped as the coefficients, and the mean score of each concept.

    The gradient of the map's total variation, at `recipe.total_variation` of the length, is in it.
    """
    maps = recipe.geometry.decode(coefficients, classifier.image_shape).detach().requires_grad_()
    with torch.enable_grad():
        images = overlay(draws, maps, COMPOSITIONS[recipe.composition])
        rows = read(classifier, images, concepts)
        scores = torch.stack([concept.score(row).mean() for concept, row in zip(concepts, rows, strict=True)])
        change_backward(scores, images, recipe.leak, recipe.residual)
        (gradient,) = torch.autograd.grad(-scores.sum(), maps)
    gradient = add_total_variation(gradient, maps.detach(), recipe.total_variation)
    return recipe.geometry.pull(gradient), scores.detach()


def walk(
    classifier: Classifier, concepts: Sequence[Concept], coefficients: Tensor, draws: Draws, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Each data point walks `nudge_steps` normalised descent steps of its own; its displacement is what counts.

    Returns minus the mean displacement, so that it is accumulated like a gradient, and the scores before the walk.
    """
    owners = [concept for concept in concepts for _ in range(draws.count)]
    single = replace(draws, count=1)
    origin = coefficients.repeat_interleave(draws.count, dim=0)
    points, first_scores = origin, torch.zeros(len(owners))
    for step in range(recipe.nudge_steps):
        gradient, scores = nudge(classifier, owners, points, single, recipe)
        first_scores = scores if step == 0 else first_scores
        length = recipe.geometry.norm(gradient, classifier.image_shape).clamp(min=1e-30)
        points = points - recipe.step * gradient / length.view(-1, *[1] * (gradient.ndim - 1))
    displacement = (points - origin).unflatten(0, (len(concepts), draws.count)).mean(dim=1)
    return -displacement, first_scores.unflatten(0, (len(concepts), draws.count)).mean(dim=1)
