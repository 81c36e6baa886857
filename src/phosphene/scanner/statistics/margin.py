"""How far can an image drive each class above all others? A target that was planted goes further than it should.

`r_c = max_x [g_c(x) − max_{k≠c} g_k(x)]` over images in [0,1], from random starts.

Source: Wang, Xiang, Miller & Kesidis, "MM-BD", IEEE S&P 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.margins import margin
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import ANY, Column, Measured

STEP = 0.1
MIN_MARGIN = 1e-3  # before its logarithm


@dataclass(frozen=True)
class Margin:
    """The largest margin that an image reaches."""

    key: str = "margins"
    settings: tuple[str, ...] = ("margin_starts", "margin_iterations")
    least: Mapping[str, int] = field(default_factory=lambda: {"margin_starts": 1, "margin_iterations": 2})
    columns: tuple[Column, ...] = (
        Column("margin", "margin", "how far any image can drive the class above all others, as a logarithm", ANY),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return size.classes * settings.margin_starts * settings.margin_iterations

    def measure(self, context: Context) -> Measured:
        settings = context.settings
        largest = maximize_margins(
            context.classifier, settings.margin_starts, settings.margin_iterations, settings.seed
        )
        return Measured({"margin": largest.clamp(min=MIN_MARGIN).log()})


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
