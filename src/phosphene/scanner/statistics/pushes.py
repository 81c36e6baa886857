"""How far a change of a fixed size drives each class above all others, by family.

The short searches ask how small a change may be while most images still flip. Where a trigger flips few of the
surrogates, they end at their largest size for all classes alike; the margin at a fixed size still tells which class is
nearer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.families import FAMILIES, Family, Parameters
from phosphene.scanner.margins import mean_margins
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.search import SETTINGS, images_per_candidate, limit_size, shrink_radius, step_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured
from phosphene.scanner.surrogates import Surrogates

SIZES = {"additive": 0.08, "colour": 0.08, "warp": 0.03}  # as each family measures its own
KINDS = {"additive": ("additive", "wave"), "colour": ("colour",), "warp": ("warp",)}
WORDS = {"additive": "pattern added to images", "colour": "change of colours", "warp": "distortion"}
MAX_IMAGES, FRESH_IMAGES = 4, 16  # that a change is laid on in an iteration, and that its margin is measured on


def _describe(family: str) -> Column:
    means = f"mean margin that the best {WORDS[family]} of a fixed size reaches on images of other classes"
    return Column(f"push {family}", f"{family} of a fixed size", means, KINDS[family], family=family)


@dataclass(frozen=True)
class Pushes:
    """The mean margin of each class on images of the others, one column a family."""

    key: str = "pushes"
    settings: tuple[str, ...] = (*SETTINGS, "fixed_classes", "push_iterations")
    least: Mapping[str, int] = field(default_factory=lambda: {"images": 1, "images_many": 1, "push_iterations": 2})
    columns: tuple[Column, ...] = tuple(map(_describe, SIZES))

    def cost(self, settings: Settings, size: ModelSize) -> int:
        if size.classes > settings.fixed_classes or not settings.push_iterations:
            return 0
        searched = _count_images(settings, size.classes) * settings.push_iterations
        return len(SIZES) * size.classes * (searched + forward_cost(FRESH_IMAGES))

    def measure(self, context: Context) -> Measured:
        settings = context.settings
        if context.size.classes > settings.fixed_classes or not settings.push_iterations:
            return Measured()
        return Measured(
            {
                f"push {family}": measure_push(
                    context.classifier, FAMILIES[family], SIZES[family], context.surrogates, settings
                )
                for family in SIZES
            }
        )


def _count_images(settings: Settings, classes: int) -> int:
    return min(MAX_IMAGES, images_per_candidate(settings, classes))


def measure_push(
    classifier: Classifier, family: Family, largest: float, surrogates: Surrogates, settings: Settings
) -> Tensor:
    """`(K,)` mean margin of each class under the best change of size `largest`."""
    size = ModelSize.of(classifier)
    per_pass = max(1, size.images_per_pass // FRESH_IMAGES)
    parts = []
    for first in range(0, size.classes, per_pass):
        targets = list(range(first, min(size.classes, first + per_pass)))
        parameters = _push(classifier, family, largest, targets, surrogates, settings)
        images = surrogates.draw(targets, FRESH_IMAGES, settings.push_iterations)
        with torch.no_grad():
            logits = classifier(family.apply(parameters, images).flatten(0, 1))
        wanted = torch.tensor(targets).repeat_interleave(FRESH_IMAGES)
        parts.append(mean_margins(logits, wanted, len(targets)))
    return torch.cat(parts)


def _push(
    classifier: Classifier,
    family: Family,
    largest: float,
    targets: list[int],
    surrogates: Surrogates,
    settings: Settings,
) -> Parameters:
    """Changes of a fixed size, one a target, that climbed its log-probability."""
    iterations, count = settings.push_iterations, _count_images(settings, len(classifier.labels))
    names = [f"push {family.name} {classifier.labels[index]}" for index in targets]
    parameters = family.start(classifier.image_shape, [make_generator(settings.seed, name, 0) for name in names])
    wanted, adam = torch.tensor(targets).repeat_interleave(count), make_adam(parameters)
    for iteration in range(iterations):
        share = iteration / iterations
        limit_size(family, parameters, shrink_radius(family, largest, len(targets), share))
        images = surrogates.draw(targets, count, iteration)
        logits = classifier(family.apply(parameters, images).flatten(0, 1))
        loss = F.cross_entropy(logits, wanted, reduction="sum") / count
        descend(adam, loss, step_size(family, share))
    limit_size(family, parameters, shrink_radius(family, largest, len(targets), 1.0))
    return tuple(one.detach() for one in parameters)
