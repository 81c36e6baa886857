"""Fidelity `F(m)`: does the model see the concept wherever the map is laid? Measured on fresh draws and views.

`F` is the mean probability that the model gives to the concept on `x ⊕ τm`, and the share of samples in which the
concept is top-1. The draws are never those of the estimate. Of a channel the first is the share of samples in which it
is more active than noise without a map makes it once in a thousand, the second that in which no channel of its layer
exceeds its own noise further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept, is_top, probability
from phosphene.reading import read
from phosphene.recipe import Recipe
from phosphene.sampling import COMPOSITIONS, Distribution, Draws, Flat, Pink, Uniform, draw, seeded, shown

SAMPLES = 16  # fresh draws a fidelity is measured on
UNSEEN_SAMPLES = 8  # of each distribution that the estimate never saw; `phosphene evaluate` looks longer

UNSEEN: dict[str, Distribution] = {"uniform": Uniform(), "pink": Pink(), "flat": Flat()}  # never used in an estimate


@dataclass(frozen=True)
class Fidelity:
    """Mean probability of the concept and rate at which it is top-1, both in [0,1]."""

    probability: float
    top1: float


def fidelity(
    classifier: Classifier,
    concept: Concept,
    saliency: Tensor,
    recipe: Recipe,
    distribution: Distribution | None = None,
    samples: int = SAMPLES,
) -> Fidelity:
    """`F` of one map `(C, H, W)` on `distribution`, by default the recipe's own."""
    (measured,) = fidelities(classifier, concept, saliency[None], recipe, distribution, samples)
    return measured


def fidelities(
    classifier: Classifier,
    concept: Concept,
    maps: Tensor,
    recipe: Recipe,
    distribution: Distribution | None = None,
    samples: int = SAMPLES,
) -> list[Fidelity]:
    """`F` of each of several maps `(N, C, H, W)` of one concept, all on the same fresh draws."""
    drawn, compose = _fresh(classifier, concept, recipe, distribution, samples), COMPOSITIONS[recipe.composition]
    with classifier.frozen(), torch.no_grad():
        rows = [read(classifier, shown(drawn, one[None], compose), [concept])[0] for one in maps]
    return [_measured(row, concept) for row in rows]


def fidelity_from(
    classifier: Classifier, concept: Concept, saliency: Tensor, recipe: Recipe, floor: Fidelity
) -> Fidelity | None:
    """`F` of one map `(C, H, W)`, or None as soon as the draws that are left cannot lift it to `floor` any more."""
    outputs: list[Tensor] = []
    compose = COMPOSITIONS[recipe.composition]
    with classifier.frozen(), torch.no_grad():
        for some in _fresh(classifier, concept, recipe).blocks(classifier.rows_a_pass):
            outputs += read(classifier, shown(some, saliency[None], compose), [concept])
            measured = _measured(torch.cat(outputs), concept)
            left = 1 - sum(map(len, outputs)) / SAMPLES
            if not _reaches(measured, left, floor):
                return None
    return measured


def _reaches(measured: Fidelity, left: float, floor: Fidelity) -> bool:
    """Whether `F` may still be `floor` if all of the share that is left is perfect; a rounding error is forgiven."""
    probability, top1 = ((1 - left) * seen + left + 1e-6 for seen in (measured.probability, measured.top1))
    return probability >= floor.probability and top1 >= floor.top1


def _fresh(classifier: Classifier, concept: Concept, recipe: Recipe, distribution: Distribution | None = None,
           samples: int = SAMPLES) -> Draws:  # fmt: skip
    """Draws for one map of the concept; always the same ones, and none of those of the estimate."""
    generator = seeded(recipe.seed, f"fidelity/{concept.name}", 0)
    return draw(distribution or recipe.distribution, recipe.views, [generator], samples, classifier.image_shape)


def excitation(classifier: Classifier, concept: Concept, saliency: Tensor, recipe: Recipe) -> tuple[float, float]:
    """Mean score of a concept on fresh draws with the map, and on the same draws without it."""
    drawn, compose = _fresh(classifier, concept, recipe), COMPOSITIONS[recipe.composition]
    with classifier.frozen(), torch.no_grad():
        carrying = [shown(drawn, one[None], compose) for one in (saliency, torch.zeros_like(saliency))]
        with_map, without = (concept.score(read(classifier, images, [concept])[0]) for images in carrying)
    return with_map.mean().item(), without.mean().item()


def top_classes(classifier: Classifier, pictures: Tensor, count: int = 5) -> list[list[tuple[int, float]]]:
    """The `count` strongest classes of each picture `(N, C, H, W)` in [0,1], with their probabilities."""
    with classifier.frozen(), torch.no_grad():
        strongest = classifier(pictures).softmax(dim=1).topk(min(count, len(classifier.labels)), dim=1)
    rows = zip(strongest.indices.tolist(), strongest.values.tolist(), strict=True)
    return [list(zip(indices, values, strict=True)) for indices, values in rows]


def recognition(classifier: Classifier, concepts: Sequence[Concept], pictures: Tensor) -> Tensor:
    """How a model, perhaps another than the map's own, sees bare pictures: `(N, 2)` of top-1 and log-probability.

    Pictures are resized to the model's own size.
    """
    with classifier.frozen(), torch.no_grad():
        rows = classifier(resized(pictures, classifier)).split(1)
    seen = [torch.cat([is_top(row, concept), probability(row, concept).log()])
            for row, concept in zip(rows, concepts, strict=True)]  # fmt: skip
    return torch.stack(seen)


def resized(pictures: Tensor, classifier: Classifier) -> Tensor:
    """Pictures `(N, C, h, w)` at the size that a model wants."""
    if tuple(pictures.shape[2:]) == classifier.format.size:
        return pictures
    return F.interpolate(pictures, size=classifier.format.size, mode="bicubic", antialias=True).clamp(0, 1)


def _measured(outputs: Tensor, concept: Concept) -> Fidelity:
    return Fidelity(probability(outputs, concept).mean().item(), is_top(outputs, concept).mean().item())
