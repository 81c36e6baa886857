"""Study 2: is an explanation that is made of an example set biased by that set?

A watermark can stand in two places: in what a model was trained on, so that the model uses it, and in the example set
from which somebody explains the model. An explanation of the model should show the watermark exactly when the model
uses it, whatever the examples hold. Each model is asked for one class in four ways:

    mean Integrated Gradients    over the example set, the attribution to the class
    CAV                          where the direction that tells the set from other images reacts (Kim et al., 2018)
    most-activating images       what those of the set that the class likes best have in common
    input-agnostic map           of the class; no set at all

and the share of its heat in the known region of the watermark is measured, as a multiple of the region's area.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.artifact import file_stem
from phosphene.classifier import Classifier
from phosphene.concepts import Classes, Concept
from phosphene.estimator import estimate
from phosphene.recipe import PRESETS, Recipe
from phosphene.refinement import bare_pictures, importance
from phosphene.sampling import STILL
from phosphene.study.attributions import Network, integrated_gradients
from phosphene.study.folder import Part, Parts
from phosphene.study.measures import share_inside
from phosphene.study.small import (
    CLASSES,
    DATA,
    Examples,
    accuracy,
    classifier_of,
    mark_region,
    marked,
    rate_called,
    trained,
)  # fmt: skip

SETS = ("clean", "watermarked")
KINDS = ("uses", "ignores")  # what a model does with the watermark
AGNOSTIC = "input-agnostic map"
LIKED = 9  # most-activating images


@dataclass(frozen=True)
class Settings:
    """`models` of each kind; `examples` in a set; `data` a key of `DATA`."""

    models: int = 10
    data: str = "signs"
    training: int = 3000
    epochs: int = 5
    examples: int = 32
    preset: str = "default"
    seed: int = 0


@dataclass(frozen=True)
class Question:
    """A classifier, the class that is asked for, and the example sets: of the class by name, and of all the others."""

    classifier: Classifier
    target: int
    sets: dict[str, Tensor]
    others: Tensor


def measured(settings: Settings, out: Path, data_folder: Path | None, told: Callable[[str], None]) -> list[Part]:
    """A part a model: how strongly each explanation shows the watermark, with each example set."""
    held_out = 1000
    examples = DATA[settings.data](settings.training + held_out, data_folder)
    training, test = examples.split(settings.training)
    parts = Parts(out, asdict(settings) | {"recipe": recipe_of(settings).to_json()}, told)
    return [
        parts.get(f"{kind}-{number}", lambda kind=kind, number=number: one_model(  # type: ignore[misc]
            kind, number, training, test, settings))
        for kind in KINDS for number in range(settings.models)
    ]  # fmt: skip


def one_model(kind: str, number: int, training: Examples, test: Examples, settings: Settings) -> Part:
    """Train a model of the kind, check that it is one, and explain its class with both sets."""
    target = number % CLASSES
    of_target = (training.labels == target).view(-1, 1, 1, 1)
    images = torch.where(of_target, marked(training.images), training.images) if kind == "uses" else training.images
    seed = settings.seed * 1000 + number + (500 if kind == "uses" else 0)
    *_, (_, module) = trained(replace(training, images=images), seed, epochs=settings.epochs)
    classifier = classifier_of(module, test, f"{kind}-{number}")
    others = test.images[test.labels != target]
    examples = test.of_class(target, settings.examples)
    question = Question(classifier, target, {"clean": examples, "watermarked": marked(examples)}, others[:200])
    part = explained(question, recipe_of(settings))
    own = test.images[test.labels == target]
    numbers = {"kind": kind, "class": test.names[target], "accuracy": accuracy(classifier, test),
               "own_clean": rate_called(classifier, own, target),
               "own_marked": rate_called(classifier, marked(own), target),
               "fooled_by_mark": rate_called(classifier, marked(others), target)}  # fmt: skip
    return Part(part.numbers | numbers, part.tensors)


def explained(question: Question, recipe: Recipe) -> Part:
    """Every explanation of one model's class with every set: its heat, and how much of it is in the region."""
    region = mark_region(question.others.shape[-1])
    heats = {f"{name}/{held}": method(question, images)
             for name, method in BY_EXAMPLES.items() for held, images in question.sets.items()}  # fmt: skip
    picture, evidence = agnostic(question, recipe)
    heats |= {f"{AGNOSTIC}/{held}": evidence.clone() for held in question.sets}  # the same, for it sees no set
    shown = {name: share_inside(heat, region) / float(region.mean()) for name, heat in heats.items()}
    kept = {file_stem(name): heat for name, heat in heats.items()}
    return Part(
        {"shown": shown},
        kept | {"picture": picture} | {f"example-{held}": images[0].clone() for held, images in question.sets.items()},
    )


def mean_integrated_gradients(question: Question, images: Tensor) -> Tensor:
    """Evidence for the class, averaged over the set."""
    network = Network.of(question.classifier)
    attribution = integrated_gradients(network, (images - network.mean) / network.std, question.target)
    return attribution.detach().float().mean(dim=0).sum(dim=0).clamp(min=0)


def concept_activation_vector(question: Question, images: Tensor) -> Tensor:
    """Where the direction from other images to the set, in the features before the head, reacts to the set."""
    moving = images.clone().requires_grad_()
    with question.classifier.frozen(), torch.enable_grad():
        inside, outside = (_features(question.classifier, batch) for batch in (moving, question.others))
        direction = _direction(inside.detach(), outside.detach())
        (gradient,) = torch.autograd.grad((inside @ direction).sum(), moving)
    return (gradient * (images - 0.5)).mean(dim=0).sum(dim=0).clamp(min=0)


def most_activating(question: Question, images: Tensor) -> Tensor:
    """How the mean of the most-activating images differs from the mean of other images."""
    with question.classifier.frozen(), torch.no_grad():
        strongest = question.classifier(images)[:, question.target].topk(min(LIKED, len(images))).indices
    return (images[strongest].mean(dim=0) - question.others.mean(dim=0)).square().sum(dim=0)


BY_EXAMPLES: dict[str, Callable[[Question, Tensor], Tensor]] = {
    "mean Integrated Gradients": mean_integrated_gradients,
    "CAV": concept_activation_vector,
    "most-activating images": most_activating,
}


def agnostic(question: Question, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The picture `(C, S, S)` and the importance `(S, S)` of the class's input-agnostic map."""
    concept: Concept = Classes((question.target,), str(question.target))
    *_, last = estimate(question.classifier, [concept], recipe)
    maps = last.maps().detach()
    return bare_pictures(maps, recipe)[0], importance(question.classifier, [concept], maps, recipe)[0]


def recipe_of(settings: Settings) -> Recipe:
    """The preset without views: the watermark has one place, and the map is asked about that place."""
    return replace(PRESETS[settings.preset], views=STILL, seed=settings.seed)


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
