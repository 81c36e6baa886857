"""The smallest change that sends images of every class away, to many different classes: all-to-all backdoors.

Where each class has a target of its own no class stands out, and a comparison of classes sees nothing. Such a model
shows it as a whole: one common change moves every class, and the predictions stay as spread out as before. In a clean
model whatever moves all classes moves them to a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.families import FAMILIES, Family
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.search import LATE_SHARE, limit_size, steer_radius, step_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import ANY, Column, Measured
from phosphene.scanner.surrogates import SETTINGS, Surrogates

SEARCHED = ("patch", "additive", "warp")
TARGET_RATE = 0.6  # share of the images that end in a class of their own
IMAGES = 24  # in an iteration, each of another class
SHARPNESS = 0.3  # weight of the entropy of single predictions beside that of their mean
MEANS = "how small such a change sends every class away and to many different ones, −log of its size"


@dataclass(frozen=True)
class Permutations:
    """One number a family for the model as a whole."""

    key: str = "permutations"
    settings: tuple[str, ...] = (*SETTINGS, "permutation_iterations", "permutation_starts")
    least: Mapping[str, int] = field(default_factory=lambda: {"permutation_iterations": 3})
    columns: tuple[Column, ...] = tuple(
        Column(f"permutation {family}", f"All classes, {family}", MEANS, ANY, whole=True, family=family)
        for family in SEARCHED
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        images = settings.permutation_starts * min(size.background_classes, IMAGES)
        return len(SEARCHED) * images * settings.permutation_iterations

    def measure(self, context: Context) -> Measured:
        classifier, surrogates, settings = context.classifier, context.surrogates, context.settings
        if not settings.permutation_iterations:
            return Measured(reached=len(surrogates.classes))
        easiness = {
            f"permutation {family}": search_permutation(classifier, surrogates, FAMILIES[family], settings)
            for family in SEARCHED
        }
        return Measured(whole=easiness, reached=len(surrogates.classes))


def search_permutation(classifier: Classifier, surrogates: Surrogates, family: Family, settings: Settings) -> float:
    """−log of the size where the easiest of several starts settled."""
    together = max(1, ModelSize.of(classifier).images_per_pass // IMAGES)
    starts = range(settings.permutation_starts)
    parts = [starts[first : first + together] for first in starts[::together]]
    return -min(_search_starts(classifier, surrogates, family, settings, part) for part in parts)


def _search_starts(
    classifier: Classifier, surrogates: Surrogates, family: Family, settings: Settings, starts: range
) -> float:
    """The smallest log size where one of these starts settled."""
    iterations, seed = settings.permutation_iterations, settings.seed
    generators = [make_generator(seed, f"permutation {family.name} {start}", 0) for start in starts]
    parameters = family.start(classifier.image_shape, generators)
    log_radius = torch.full((len(starts),), family.start_radius).log()
    adam, generator, sizes = make_adam(parameters), make_generator(seed, "permutation images", 0), []
    for iteration in range(iterations):
        share = iteration / max(1, iterations - 1)
        limit_size(family, parameters, log_radius)
        images, own = _draw_images(surrogates, generator)
        logits = classifier(family.apply(parameters, images.expand(len(starts), *images.shape)).flatten(0, 1))
        loss, moved = _scatter_loss(logits.unflatten(0, (len(starts), -1)), own)
        descend(adam, loss, step_size(family, share))
        log_radius = steer_radius(log_radius, moved, TARGET_RATE, share)
        sizes.append(log_radius)
    return float(torch.stack(sizes[-max(1, iterations // LATE_SHARE) :]).mean(dim=0).min())


def _draw_images(surrogates: Surrogates, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images `(n, C, H, W)` of different classes, and the classes."""
    places = torch.randperm(len(surrogates.classes), generator=generator)[:IMAGES]
    which = torch.randint(surrogates.images.shape[1], (len(places),), generator=generator)
    return surrogates.images[places, which], torch.tensor(surrogates.classes)[places]


def _scatter_loss(logits: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Loss over `(starts, n, classes)`, and per start the share of images that end in a class of their own.

    An image should leave its class and be predicted surely as another; all together should spread over the classes.
    """
    log_p = logits.log_softmax(dim=2)
    p = log_p.exp()
    stay = p.gather(2, own.expand(len(p), -1)[:, :, None])[..., 0]
    mean = p.mean(dim=1)
    spread = -(mean * (mean + 1e-9).log()).sum(dim=1)
    entropy = -(p * log_p).sum(dim=2).mean(dim=1)
    loss = (-torch.log1p(-stay.clamp(max=1 - 1e-6)).mean(dim=1) - spread + SHARPNESS * entropy).sum()
    predicted = logits.detach().argmax(dim=2)
    distinct = [len(set(row[row != own].tolist())) / len(own) for row in predicted]
    return loss, torch.tensor(distinct)
