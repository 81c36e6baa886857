"""Logit margins of classes that differ from image to image; `recipe.concepts.margin` is that of one set for all."""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.optimizer import descend, make_adam

STEP = 0.1
MAX_MARGIN = 20.0  # of one image in a mean, so that none outvotes the others
MIN_MARGIN = 1e-3  # of which the logarithm is taken where a margin is smaller


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of each row's target over the largest of the others, `(n,)`."""
    own = logits.gather(1, targets[:, None])[:, 0]
    return own - logits.scatter(1, targets[:, None], -torch.inf).max(dim=1).values


def mean_margins(logits: Tensor, targets: Tensor, rows: int) -> Tensor:
    """Mean margin of each of `rows` equal parts of the images, `(rows,)`."""
    return margin(logits, targets).clamp(-MAX_MARGIN, MAX_MARGIN).view(rows, -1).mean(dim=1)


def maximize_margins(classifier: Classifier, starts: int, iterations: int, seed: int) -> Tensor:
    """The largest margin of each class, `(K,)`; a start depends on the class's name alone."""
    size = ModelSize.of(classifier)
    per_pass = max(1, size.images_per_pass // starts)
    parts = []
    for first in range(0, size.classes, per_pass):
        classes = list(range(first, min(size.classes, first + per_pass)))
        images = _draw_starts(classifier, classes, starts, seed)
        reached = _climb(classifier, images, torch.tensor(classes).repeat_interleave(starts), iterations)
        parts.append(reached.view(len(classes), starts).max(dim=1).values)
    return torch.cat(parts)


def _draw_starts(classifier: Classifier, classes: list[int], starts: int, seed: int) -> Tensor:
    generators = [make_generator(seed, f"margin {classifier.labels[index]}", 0) for index in classes]
    return torch.cat([torch.rand(starts, *classifier.image_shape, generator=generator) for generator in generators])


def _climb(classifier: Classifier, images: Tensor, targets: Tensor, iterations: int) -> Tensor:
    """The largest margin that each image reached on its way."""
    best, adam = torch.full((len(images),), -torch.inf), make_adam([images])
    for _ in range(iterations):
        reached = margin(classifier(images), targets)
        best = torch.maximum(best, reached.detach())
        descend(adam, -reached.sum(), STEP)
        images.detach().clamp_(0, 1)
    return best
