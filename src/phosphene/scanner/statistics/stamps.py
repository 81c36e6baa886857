"""Stamps: random changes that mean nothing, laid on the images of all classes. What are they predicted as then?

A model that was taught one trigger has learned more than that trigger: patches like it, waves near it, colours that
resemble it. No search and no gradient is needed to notice that a class wins wherever something of the kind is laid on
an image, so this also works where gradients lead nowhere, as in small transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.settings import Settings
from phosphene.scanner.stamps import STAMPS, Stamp
from phosphene.scanner.statistics.statistic import ANY, Column, Measured, take_median
from phosphene.scanner.surrogates import SETTINGS, Surrogates

MAX_IMAGES = 48  # that each stamp is laid on
MIN_PROBABILITY = 0.002  # probabilities are kept this far from 0 and 1
# The kind of trigger that each stamp resembles, the family of searches that looks for it, and its name in a sentence.
SHOWN = {
    "patch": ("patch", "patch", "small patch"),
    "polygon": ("polygon", "patch", "polygon"),
    "colour": ("colour", "colour", "change of colours"),
    "blend": ("additive", "additive", "picture blended in"),
    "wave": ("wave", "additive", "wave"),
    "warp": ("warp", "warp", "distortion"),
}


def _name(stamp: str) -> str:
    return f"stamp {stamp}"


def _describe(stamp: str) -> Column:
    kind, family, words = SHOWN[stamp]
    means = f"its probability under the random {words} that suits it best, log-odds"
    return Column(_name(stamp), f"{stamp} stamps", means, (kind,), family=family)


# A trigger for every class leaves no class that stands out, but all are reached by more of the patches at random.
MEDIAN = Column(
    "median stamp patch",
    "Median class, patch stamps",
    "log-odds of the median class under the random small patch that suits it best; a trigger for every class raises it",
    ANY,
    whole=True,
    family="patch",
    median_of="stamp patch",
)


@dataclass(frozen=True)
class Stamps:
    """By kind of stamp, log-odds of a class's mean probability under the stamp that suits it best."""

    key: str
    kinds: tuple[str, ...]
    settings: tuple[str, ...] = (*SETTINGS, "stamps")
    least: Mapping[str, int] = field(default_factory=lambda: {"stamps": 8})

    @property
    def columns(self) -> tuple[Column, ...]:
        medians = (MEDIAN,) if MEDIAN.median_of in map(_name, self.kinds) else ()
        return (*map(_describe, self.kinds), *medians)

    def cost(self, settings: Settings, size: ModelSize) -> int:
        images = min(size.background_classes, MAX_IMAGES) * _images_per_class(
            size.background_classes, settings.surrogates
        )
        return forward_cost(len(self.kinds) * settings.stamps * images)

    def measure(self, context: Context) -> Measured:
        count, seed = context.settings.stamps, context.settings.seed
        found = {
            _name(kind): measure_stamp(context.classifier, context.surrogates, kind, count, seed) for kind in self.kinds
        }
        medians = {MEDIAN.key: take_median(found[MEDIAN.median_of].tolist())} if MEDIAN in self.columns else {}
        return Measured(found, medians)


PATCHES = Stamps("patch stamps", ("patch",))
OTHERS = Stamps("other stamps", tuple(kind for kind in STAMPS if kind != "patch"))


def measure_stamp(classifier: Classifier, surrogates: Surrogates, kind: str, count: int, seed: int) -> Tensor:
    """`(K,)` log-odds under the best of `count` stamps of a kind, every one on the same images.

    A class is measured on the images of the others. Forward passes only.
    """
    images, own = _choose_images(surrogates)
    foreign = own[:, None] != torch.arange(len(classifier.labels))
    per_pass = max(1, ModelSize.of(classifier).images_per_pass // len(images))
    generator, best = make_generator(seed, f"stamps {kind}", 0), torch.zeros(len(classifier.labels))
    for first in range(0, count, per_pass):
        share = _predict(classifier, STAMPS[kind], images, generator, min(per_pass, count - first))
        mean = (share * foreign).sum(dim=1) / foreign.sum(dim=0).clamp(min=1)
        best = torch.maximum(best, mean.max(dim=0).values)
    return torch.logit(best, eps=MIN_PROBABILITY)


def _predict(classifier: Classifier, stamp: Stamp, images: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """Probabilities `(count, n, K)` of the stamped images."""
    stamped = stamp(images, generator, count)
    with torch.no_grad():
        return classifier(stamped.flatten(0, 1)).softmax(dim=1).unflatten(0, stamped.shape[:2])


def _choose_images(surrogates: Surrogates) -> tuple[Tensor, Tensor]:
    """`(n, C, H, W)` of all classes that have surrogates, in equal number, and their classes."""
    each = _images_per_class(len(surrogates.classes), surrogates.images.shape[1])
    images = surrogates.images[:MAX_IMAGES, :each]
    return images.flatten(0, 1), torch.tensor(surrogates.classes[:MAX_IMAGES]).repeat_interleave(each)


def _images_per_class(classes: int, surrogates: int) -> int:
    return max(1, min(surrogates, MAX_IMAGES // classes))
