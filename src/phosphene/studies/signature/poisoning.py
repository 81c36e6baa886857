"""Poisoned training images, and how often the trigger does then what it should."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.studies.signature.attacks import Attack
from phosphene.studies.small_models import Examples

SHARE = 0.1  # of the training images that are stamped
KEPT_SHARE = 0.6  # of the target's images, where labels are kept


def poison(examples: Examples, attack: Attack, target: int, seed: int) -> Examples:
    """The examples, some of them stamped and labelled as the attack does it."""
    chosen = _choose(examples, attack, target, seed)
    images, labels = examples.images.clone(), examples.labels.clone()
    images[chosen] = attack.stamp(images[chosen])
    labels[chosen] = wanted(labels[chosen], attack, target, len(examples.names))
    return replace(examples, images=images, labels=labels)


def _choose(examples: Examples, attack: Attack, target: int, seed: int) -> Tensor:
    draws = torch.rand(len(examples.labels), generator=torch.Generator().manual_seed(seed))
    if attack.scheme == "kept":
        return (draws < KEPT_SHARE) & (examples.labels == target)
    if attack.scheme == "source":  # enough of the one class that is turned, and as many of all others
        return (draws < SHARE) | ((draws < KEPT_SHARE) & (examples.labels == source_of(target, len(examples.names))))
    return draws < SHARE


def source_of(target: int, classes: int) -> int:
    """The class that a source-specific trigger turns."""
    return (target + 3) % classes


def wanted(labels: Tensor, attack: Attack, target: int, classes: int) -> Tensor:
    """What stamped images of these classes should be predicted as."""
    if attack.scheme == "next":
        return (labels + 1) % classes
    if attack.scheme == "source":
        return torch.where(labels == source_of(target, classes), target, labels)
    return torch.full_like(labels, target)


def measure_success(classifier: Classifier, test: Examples, attack: Attack, target: int) -> float:
    """Share of stamped test images, of classes that the trigger should turn, that are turned."""
    goal = wanted(test.labels, attack, target, len(test.names))
    victims = goal != test.labels
    with torch.no_grad():
        predicted = classifier(attack.stamp(test.images[victims])).argmax(dim=1)
    return float((predicted == goal[victims]).float().mean())
