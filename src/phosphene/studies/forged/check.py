"""`forged?`: does the map of a class change with how it is asked for, more than those of honest networks do?

A forger bends the gradient where he expects maps to be estimated. The network must still do its work elsewhere, so a
class that is asked for in another way shows itself, and a forged picture that is laid on another ground loses its
class. No data is used: noise, and the network's own maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.evidence.similarity import embed
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import compose_logit
from phosphene.recipe.concepts import Classes
from phosphene.recipe.draws import draw, overlay
from phosphene.recipe.views import Views
from phosphene.studies.forged.askings import GROUNDS, Asking, ask

LEAST_SPREAD = 0.02  # a network whose classes all agree to the last digit is no cause for doubt
SAMPLES = 8  # draws of a ground that a picture is laid on


@dataclass(frozen=True)
class Answers:
    """What a network shows when it is asked in several ways.

    `pictures` `(askings, classes, C, H, W)` in [0,1]; `own` `(askings, classes, grounds)`: the probability of the class
    on average over draws of a ground that carry its picture, and `other` that of the strongest other class; `features`
    and `spectrum` `(classes, askings, askings)`: similarity of two pictures of one class.
    """

    pictures: Tensor
    own: Tensor
    other: Tensor
    features: Tensor
    spectrum: Tensor


def collect_answers(classifier: Classifier, concepts: Sequence[Classes], askings: dict[str, Asking]) -> Answers:
    """Ask for every concept in every way, and show each picture to the network on every ground."""
    pictures = torch.stack([ask(classifier, concepts, asking) for asking in askings.values()])
    shown = [lay_on_grounds(classifier, concepts, row) for row in pictures]
    own, other = (torch.stack(numbers) for numbers in zip(*shown, strict=True))
    return Answers(pictures, own, other, *compare_pictures(classifier, pictures))


def lay_on_grounds(classifier: Classifier, concepts: Sequence[Classes], pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean probability `(classes, grounds)` of the class and of the strongest other one where its picture is laid."""
    maps = torch.logit(pictures, eps=1 / 256)
    steady = classifier.replace(batch_size=SAMPLES * len(concepts))
    generators = [make_generator(0, f"forged/{concept.name}", 0) for concept in concepts]
    own, other = [], []
    for ground in GROUNDS.values():
        drawn = draw(ground, Views(), generators, SAMPLES, classifier.image_shape)
        with torch.no_grad():
            outputs = steady(overlay(drawn, maps, compose_logit))
        means = classifier.output_kind.probabilities(outputs).unflatten(0, (len(concepts), SAMPLES)).mean(dim=1)
        targets = torch.tensor([concept.targets[0] for concept in concepts])[:, None]
        own.append(means.gather(1, targets)[:, 0])
        other.append(means.scatter(1, targets, 0.0).amax(dim=1))
    return torch.stack(own, dim=1), torch.stack(other, dim=1)


def compare_pictures(classifier: Classifier, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity `(classes, askings, askings)` of the pictures of each class, by features and by spectrum.

    Features are compared as they differ from the mean of all pictures of the network, which have much in common.
    """
    askings, classes = pictures.shape[:2]
    found = embed(pictures.flatten(0, 1), [classifier]).rows
    matrices = []
    for kind in ("features", "spectrum"):
        rows = found[kind].view(askings, classes, -1)
        rows = torch.nn.functional.normalize(rows - rows.mean(dim=(0, 1)), dim=2)
        matrices.append(torch.einsum("akd,bkd->kab", rows, rows))
    return matrices[0], matrices[1]


def _least(similarities: Tensor) -> Tensor:
    """Of each class, how unlike the default's picture the most unlike of the others is."""
    return 1 - similarities[:, 0, 1:].amin(dim=1)


def _mean(similarities: Tensor) -> Tensor:
    return 1 - similarities[:, 0, 1:].mean(dim=1)


# Doubt about each class `(classes,)`, the higher the more, from what was answered; the first asking is the default's.
STATISTICS: dict[str, Callable[[Answers], Tensor]] = {
    "features, mean": lambda answers: _mean(answers.features),
    "features, least": lambda answers: _least(answers.features),
    "spectrum, mean": lambda answers: _mean(answers.spectrum),
    "default's picture on other grounds": lambda answers: 1 - answers.own[0, :, 1:].mean(dim=1),
    "other pictures on the default's ground": lambda answers: 1 - answers.own[1:, :, 0].mean(dim=0),
    "another class on other grounds": lambda answers: answers.other[0].amax(dim=1),
}


def stand_out(doubts: Tensor) -> float:
    """How far the most doubtful class is above the middle of its network's classes, in their median deviations."""
    middle = doubts.median()
    spread = (doubts - middle).abs().median().clamp(min=LEAST_SPREAD)
    return float((doubts.max() - middle) / spread)
