"""Four explanations of what a model uses to predict a class, three of them computed from an example set.

mean Integrated Gradients    attribution to the class, averaged over the set
CAV                          where the direction from other images to the set depends on the set (Kim et al., 2018)
most-activating images       what the images of the set with the highest logits have in common
input-agnostic map           of the class; no example set
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.core.hooks import pre_hooks
from phosphene.method.importance import compute_importance
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies.agnostic import estimate_maps
from phosphene.studies.attributions import Network, integrated_gradients
from phosphene.studies.words import AGNOSTIC

MOST_ACTIVATING = 9  # images


@dataclass(frozen=True)
class Question:
    """A classifier, the class to explain, its example sets by name, and images of other classes for comparison."""

    classifier: Classifier
    target: int
    sets: dict[str, Tensor]
    others: Tensor


def mean_integrated_gradients(question: Question, images: Tensor) -> Tensor:
    """Evidence for the class, averaged over the set."""
    network = Network.of(question.classifier)
    attribution = integrated_gradients(network, (images - network.mean) / network.std, question.target)
    return attribution.detach().float().mean(dim=0).sum(dim=0).clamp(min=0)


def concept_activation_vector(question: Question, images: Tensor) -> Tensor:
    """Where the direction from other images to the set, in the features before the head, depends on the set."""
    moving = images.clone().requires_grad_()
    with torch.enable_grad():
        inside, outside = (_read_features(question.classifier, batch) for batch in (moving, question.others))
        direction = _fit_direction(inside.detach(), outside.detach())
        (gradient,) = torch.autograd.grad((inside @ direction).sum(), moving)
    return (gradient * (images - 0.5)).mean(dim=0).sum(dim=0).clamp(min=0)


def most_activating(question: Question, images: Tensor) -> Tensor:
    """How the mean of the most-activating images differs from the mean of other images."""
    with torch.no_grad():
        strongest = question.classifier(images)[:, question.target].topk(min(MOST_ACTIVATING, len(images))).indices
    return (images[strongest].mean(dim=0) - question.others.mean(dim=0)).square().sum(dim=0)


BY_EXAMPLES: dict[str, Callable[[Question, Tensor], Tensor]] = {
    "mean Integrated Gradients": mean_integrated_gradients,
    "CAV": concept_activation_vector,
    "most-activating images": most_activating,
}
NAMES = (*BY_EXAMPLES, AGNOSTIC)


def explain_without_examples(question: Question, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The picture `(C, S, S)` and the importance `(S, S)` of the class's input-agnostic map."""
    concept: Concept = Classes((question.target,), str(question.target))
    maps = estimate_maps(question.classifier, [concept], recipe)
    return render_pictures(maps, recipe)[0], compute_importance(question.classifier, [concept], maps, recipe)[0]


def _read_features(classifier: Classifier, images: Tensor) -> Tensor:
    """The input of the last linear layer `(N, F)`; of a model without one, the pixels themselves."""
    layers = [module for module in classifier.module.modules() if isinstance(module, nn.Linear)]
    inputs: list[Any] = [images]
    with pre_hooks((layer, lambda _, received: inputs.append(received[0])) for layer in layers[-1:]):
        classifier(images)
    return inputs[-1][: len(images)].flatten(1)


def _fit_direction(inside: Tensor, outside: Tensor) -> Tensor:
    """The normal of a ridge-regularised linear classifier between the two sets of features."""
    rows = torch.cat([inside, outside])
    signs = torch.cat([torch.ones(len(inside)) / len(inside), -torch.ones(len(outside)) / len(outside)])
    centred = rows - rows.mean(dim=0)
    gram = centred @ centred.T
    weights = torch.linalg.solve(gram + gram.diagonal().mean() * torch.eye(len(rows)), signs)
    return F.normalize(centred.T @ weights, dim=0)
