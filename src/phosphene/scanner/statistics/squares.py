"""How far the best small square of a fixed side drives each class above all others.

A mask that shrinks while 80% of the images still flip misses a trigger that flips fewer of these surrogates, which are
surer of their class than photographs are. A square of a fixed side needs no flip rate: every place is tried with a
pattern of its own, the best places longer, and what counts is the margin.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.margins import mean_margins
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.search import SETTINGS, images_per_candidate
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Column, Measured
from phosphene.scanner.surrogates import Surrogates

SIDE = 0.18  # of the square, as a share of the image's side
OVERLAP = 0.2  # of neighbouring places, as a share of the square's side
FINALISTS = 6  # places of each class that are searched longer
COARSE_SHARE = 3  # the first search has a third of the iterations
COARSE_IMAGES, MAX_IMAGES, FRESH_IMAGES = 2, 4, 16  # that a square is laid on: at first, then, and to be judged
STEPS = (0.35, 0.2)  # of the colours of a pattern, in the first search and the longer one
STEP_DECAY = 0.7  # share of the step that is gone at the last iteration
SURE = -0.05  # log-probability beyond which an image no longer pulls


@dataclass(frozen=True)
class Squares:
    """The largest mean margin of each class, on images of the others."""

    key: str = "squares"
    settings: tuple[str, ...] = (*SETTINGS, "square_classes", "square_iterations")
    # Even a single iteration tries every place, so a small budget leaves squares out.
    least: Mapping[str, int] = field(default_factory=lambda: {"images": 1, "images_many": 1, "square_iterations": 0})
    columns: tuple[Column, ...] = (
        Column(
            "square",
            "square",
            "mean margin that the best small square of a fixed side reaches on images of other classes",
            ("patch", "polygon"),
            family="patch",
        ),
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        if not _applies(settings, size):
            return 0
        images = min(MAX_IMAGES, images_per_candidate(settings, size.classes))
        coarse = len(list_places(*size.image_shape[1:])[0]) * min(COARSE_IMAGES, images)
        finer = FINALISTS * images
        searched = coarse * _first_iterations(settings) + finer * settings.square_iterations
        return size.classes * (searched + coarse + FINALISTS * FRESH_IMAGES)  # each square is judged once, too

    def measure(self, context: Context) -> Measured:
        if not _applies(context.settings, context.size):
            return Measured()
        return Measured({"square": measure_squares(context.classifier, context.surrogates, context.settings)})


def _applies(settings: Settings, size: ModelSize) -> bool:
    return settings.square_iterations > 0 and size.classes <= settings.square_classes


def _first_iterations(settings: Settings) -> int:
    return max(1, settings.square_iterations // COARSE_SHARE)


def list_places(height: int, width: int) -> tuple[list[tuple[int, int]], int]:
    """Tops and lefts of overlapping squares that cover the image, and their side."""
    side = max(2, round(SIDE * min(height, width)))
    stride = max(1, round((1 - OVERLAP) * side))
    tops, lefts = (sorted({*range(0, length - side, stride), length - side}) for length in (height, width))
    return list(itertools.product(tops, lefts)), side


def measure_squares(classifier: Classifier, surrogates: Surrogates, settings: Settings) -> Tensor:
    """`(K,)` mean margin of the target under its best square."""
    places, side = list_places(*classifier.image_shape[1:])
    images = min(MAX_IMAGES, images_per_candidate(settings, len(classifier.labels)))
    corners = torch.tensor(places)
    best = []
    for target, label in enumerate(classifier.labels):
        start = torch.rand(classifier.image_shape[0], side, side, generator=make_generator(settings.seed, label, 0))
        patterns = (0.3 + 0.4 * start).expand(len(places), -1, -1, -1)
        search = _Search(classifier, surrogates, target)
        few = min(COARSE_IMAGES, images)
        patterns, margins = search.climb(corners, patterns, _first_iterations(settings), STEPS[0], few, few)
        kept = margins.topk(min(FINALISTS, len(places))).indices
        _, margins = search.climb(
            corners[kept], patterns[kept], settings.square_iterations, STEPS[1], images, FRESH_IMAGES
        )
        best.append(margins.max())
    return torch.stack(best)


@dataclass(frozen=True)
class _Search:
    """Squares with one target."""

    classifier: Classifier
    surrogates: Surrogates
    target: int

    def climb(
        self, corners: Tensor, patterns: Tensor, iterations: int, step: float, images: int, judged: int
    ) -> tuple[Tensor, Tensor]:
        """Patterns `(n, C, side, side)` after so many steps up the log-probability, and their mean margins `(n,)` on
        `judged` images."""
        per_pass = max(1, ModelSize.of(self.classifier).images_per_pass // images)
        parts = [
            self._climb_together(*part, iterations, step, images, judged)
            for part in zip(corners.split(per_pass), patterns.split(per_pass), strict=True)
        ]
        found, margins = (torch.cat(several) for several in zip(*parts, strict=True))
        return found, margins

    def _climb_together(
        self, corners: Tensor, patterns: Tensor, iterations: int, step: float, images: int, judged: int
    ) -> tuple[Tensor, Tensor]:
        patterns = patterns.clone()
        for iteration in range(iterations):
            patterns.requires_grad_()
            log_p = self._predict(corners, patterns, iteration, images).log_softmax(dim=2)[..., self.target]
            (gradient,) = torch.autograd.grad(log_p.clamp(max=SURE).sum(), patterns)
            pace = step * (1 - STEP_DECAY * iteration / iterations)
            patterns = (patterns.detach() + pace * gradient.sign()).clamp(0, 1)
        with torch.no_grad():
            logits = self._predict(corners, patterns, iterations, judged)
        wanted = torch.full((logits[..., 0].numel(),), self.target)
        return patterns, mean_margins(logits.flatten(0, 1), wanted, len(corners))

    def _predict(self, corners: Tensor, patterns: Tensor, iteration: int, count: int) -> Tensor:
        """Logits `(n, images, K)` of images of other classes with each square."""
        images = self.surrogates.draw([self.target], count, iteration)[0]
        stamped = lay_squares(images, corners, patterns)
        return self.classifier(stamped.flatten(0, 1)).unflatten(0, stamped.shape[:2])


def lay_squares(images: Tensor, corners: Tensor, patterns: Tensor) -> Tensor:
    """`(squares, images, C, H, W)`: each square `(C, side, side)`, its corner at `(top, left)`, on each image."""
    side = patterns.shape[-1]
    within = torch.arange(side)
    rows, columns = (corners[:, axis, None] + within for axis in (0, 1))
    stamped = images.expand(len(corners), *images.shape).permute(0, 3, 4, 1, 2).clone()
    which = torch.arange(len(corners))[:, None, None]
    squares = patterns.permute(0, 2, 3, 1)[:, :, :, None].expand(-1, -1, -1, len(images), -1)
    stamped[which, rows[:, :, None], columns[:, None, :]] = squares
    return stamped.permute(0, 3, 4, 1, 2)
