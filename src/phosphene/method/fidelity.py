"""Fidelity `F(m)`: does the model see the concept wherever the map is laid? Measured on fresh draws and views.

`F` is the mean probability that the model gives to the concept on `x ⊕ τm`, and the share of samples in which the
concept is top-1. The draws are never those of the estimate. Of a channel the first is the share of samples in which it
is more active than noise without a map makes it once in a thousand, the second that in which no channel of its layer
exceeds its own noise further. Of labels that do not exclude each other the second is the share in which the label is
more probable than not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.model.outputs import OutputKind, is_top, probability
from phosphene.model.readout import read
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution, Flat, Pink, Uniform
from phosphene.recipe.draws import Draws, draw, overlay
from phosphene.recipe.recipe import Recipe

SAMPLES = 16  # fresh draws a fidelity is measured on
UNSEEN_SAMPLES = 8  # of each distribution that the estimate never saw; `phosphene evaluate` looks longer
UNSEEN: dict[str, Distribution] = {"uniform": Uniform(), "pink": Pink(), "flat": Flat()}  # never used in an estimate


@dataclass(frozen=True)
class Fidelity:
    """Mean probability of the concept and rate at which it is top-1, both in [0,1], and the share of samples for which
    the model gives finite outputs; the others count as not seen."""

    probability: float
    top1: float
    finite: float = 1.0


def measure_fidelity(
    classifier: Classifier,
    concept: Concept,
    saliency: Tensor,
    recipe: Recipe,
    distribution: Distribution | None = None,
    samples: int = SAMPLES,
) -> Fidelity:
    """`F` of one map `(C, H, W)` on `distribution`, by default the recipe's own."""
    (measured,) = measure_fidelities(classifier, concept, saliency[None], recipe, distribution, samples)
    return measured


def measure_fidelities(
    classifier: Classifier,
    concept: Concept,
    maps: Tensor,
    recipe: Recipe,
    distribution: Distribution | None = None,
    samples: int = SAMPLES,
) -> list[Fidelity]:
    """`F` of each of several maps `(N, C, H, W)` of one concept, all on the same fresh draws."""
    drawn, compose = _draw_fresh(classifier, concept, recipe, distribution, samples), COMPOSITIONS[recipe.composition]
    with torch.no_grad():
        rows = [read(classifier, overlay(drawn, one[None], compose), [concept])[0] for one in maps]
    return [_summarize(row, concept, classifier.output_kind) for row in rows]


def measure_fidelity_above(
    classifier: Classifier, concept: Concept, saliency: Tensor, recipe: Recipe, floor: Fidelity
) -> Fidelity | None:
    """`F` of one map `(C, H, W)`, or None as soon as the draws that are left cannot lift it to `floor` any more."""
    outputs: list[Tensor] = []
    compose = COMPOSITIONS[recipe.composition]
    with torch.no_grad():
        for some in _draw_fresh(classifier, concept, recipe).blocks(classifier.batch_size):
            outputs += read(classifier, overlay(some, saliency[None], compose), [concept])
            measured = _summarize(torch.cat(outputs), concept, classifier.output_kind)
            left = 1 - sum(map(len, outputs)) / SAMPLES
            if not _reaches(measured, left, floor):
                return None
    return measured


def _reaches(measured: Fidelity, left: float, floor: Fidelity) -> bool:
    """Whether `F` may still be `floor` if all of the share that is left is perfect; a rounding error is forgiven."""
    probability, top1 = ((1 - left) * seen + left + 1e-6 for seen in (measured.probability, measured.top1))
    return probability >= floor.probability and top1 >= floor.top1


def _draw_fresh(
    classifier: Classifier,
    concept: Concept,
    recipe: Recipe,
    distribution: Distribution | None = None,
    samples: int = SAMPLES,
) -> Draws:
    """Draws for one map of the concept; always the same ones, and none of those of the estimate."""
    generator = make_generator(recipe.seed, f"fidelity/{concept.name}", 0)
    return draw(distribution or recipe.distribution, recipe.views, [generator], samples, classifier.image_shape)


def measure_excitation(
    classifier: Classifier, concept: Concept, saliency: Tensor, recipe: Recipe
) -> tuple[float, float]:
    """Mean score of a concept on fresh draws with the map, and on the same draws without it."""
    drawn, compose = _draw_fresh(classifier, concept, recipe), COMPOSITIONS[recipe.composition]
    with torch.no_grad():
        carrying = [overlay(drawn, one[None], compose) for one in (saliency, torch.zeros_like(saliency))]
        with_map, without = (concept.score(read(classifier, images, [concept])[0]) for images in carrying)
    return with_map.mean().item(), without.mean().item()


def _summarize(outputs: Tensor, concept: Concept, kind: OutputKind) -> Fidelity:
    finite = outputs.isfinite().all(dim=1)
    probabilities, tops = (measure(outputs, concept, kind) for measure in (probability, is_top))
    share, top1 = (torch.where(finite, one, torch.zeros_like(one)).mean().item() for one in (probabilities, tops))
    return Fidelity(share, top1, finite.float().mean().item())
