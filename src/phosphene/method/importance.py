"""Importance: where in the map the evidence is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.model.readout import read
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.concepts import Concept
from phosphene.recipe.draws import draw
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import place

IMPORTANCE_SAMPLES = 8


def compute_importance(classifier: Classifier, concepts: Sequence[Concept], maps: Tensor, recipe: Recipe) -> Tensor:
    """Where the evidence is: positive part of the blurred `Σ_C m ⊙ ∂s/∂m` over fresh draws, `(N, H, W)` in [0,1]."""
    generators = [make_generator(recipe.seed, f"importance/{concept.name}", 0) for concept in concepts]
    compose = COMPOSITIONS[recipe.composition]
    total = torch.zeros_like(maps)
    with torch.enable_grad():
        moving = maps.detach().requires_grad_()
        for _ in range(IMPORTANCE_SAMPLES):
            draws = draw(recipe.distribution, recipe.views, generators, 1, classifier.image_shape)
            rows = read(classifier, compose(draws.samples.to(maps.device), place(moving, draws.views)), concepts)
            scores = [concept.score(row) for concept, row in zip(concepts, rows, strict=True)]
            total += torch.autograd.grad(torch.cat(scores).sum(), moving)[0]
    evidence = _blurred((maps * total).sum(dim=1, keepdim=True)).clamp(min=0)[:, 0]
    return evidence / evidence.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)


def _blurred(planes: Tensor) -> Tensor:
    """Gaussian blur of `(N, 1, H, W)` with a standard deviation of 1/40 of the side."""
    sigma = max(planes.shape[-2:]) / 40
    reach = math.ceil(3 * sigma)
    profile = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=planes.device) / sigma).square())
    profile = profile / profile.sum()
    rows = F.conv2d(planes, profile.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(rows, profile.view(1, 1, -1, 1), padding=(reach, 0))
