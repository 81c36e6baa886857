"""Four explanations of what a model goes by when it says a class, three of them made of an example set.

mean Integrated Gradients    over the example set, the attribution to the class
CAV                          where the direction that tells the set from other images reacts (Kim et al., 2018)
most-activating images       what those of the set that the class likes best have in common
input-agnostic map           of the class; no set at all
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.method.importance import compute_importance
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.recipe import Recipe
from phosphene.studies.agnostic import estimated_maps
from phosphene.studies.attributions import Network, integrated_gradients
from phosphene.studies.words import AGNOSTIC

LIKED = 9  # most-activating images


@dataclass(frozen=True)
class Question:
    """A classifier, the class that is asked for, and the example sets: of the class by name, and of all the others."""

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
    """Where the direction from other images to the set, in the features before the head, reacts to the set."""
    moving = images.clone().requires_grad_()
    with torch.enable_grad():
        inside, outside = (_features(question.classifier, batch) for batch in (moving, question.others))
        direction = _direction(inside.detach(), outside.detach())
        (gradient,) = torch.autograd.grad((inside @ direction).sum(), moving)
    return (gradient * (images - 0.5)).mean(dim=0).sum(dim=0).clamp(min=0)


def most_activating(question: Question, images: Tensor) -> Tensor:
    """How the mean of the most-activating images differs from the mean of other images."""
    with torch.no_grad():
        strongest = question.classifier(images)[:, question.target].topk(min(LIKED, len(images))).indices
    return (images[strongest].mean(dim=0) - question.others.mean(dim=0)).square().sum(dim=0)


BY_EXAMPLES: dict[str, Callable[[Question, Tensor], Tensor]] = {
    "mean Integrated Gradients": mean_integrated_gradients,
    "CAV": concept_activation_vector,
    "most-activating images": most_activating,
}
NAMES = (*BY_EXAMPLES, AGNOSTIC)


def agnostic(question: Question, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The picture `(C, S, S)` and the importance `(S, S)` of the class's input-agnostic map."""
    concept: Concept = Classes((question.target,), str(question.target))
    maps = estimated_maps(question.classifier, [concept], recipe)
    return render_pictures(maps, recipe)[0], compute_importance(question.classifier, [concept], maps, recipe)[0]


def _features(classifier: Classifier, images: Tensor) -> Tensor:
    """The input of the last linear layer `(N, F)`; of a model without one, the pixels themselves."""
    layers = [module for module in classifier.module.modules() if isinstance(module, nn.Linear)]
    kept = [images]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0])) for layer in layers[-1:]]
    try:
        classifier(images)
    finally:
        for hook in hooks:
            hook.remove()
    return kept[-1][: len(images)].flatten(1)


def _direction(inside: Tensor, outside: Tensor) -> Tensor:
    """The normal of a ridge-regularised linear classifier that tells the two sets of features apart."""
    rows = torch.cat([inside, outside])
    signs = torch.cat([torch.ones(len(inside)) / len(inside), -torch.ones(len(outside)) / len(outside)])
    centred = rows - rows.mean(dim=0)
    gram = centred @ centred.T
    weights = torch.linalg.solve(gram + gram.diagonal().mean() * torch.eye(len(rows)), signs)
    return F.normalize(centred.T @ weights, dim=0)
