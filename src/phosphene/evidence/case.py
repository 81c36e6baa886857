"""One map under examination, and the stamping of maps onto samples that most scores are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.errors import PhospheneError
from phosphene.evidence.photographs import Photographs
from phosphene.method.scaling import display_scale
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.distributions import Distribution
from phosphene.recipe.draws import Draws, draw, overlay
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.saliency import SaliencyMap


@dataclass(frozen=True)
class Case:
    """A map with everything that its scores may ask of: its model, the witnesses, and the maps beside it.

    `company` holds the concepts of all maps of the run, this one's at `place`; `other` is the map of another class
    where there is one; `similarities` are this map's to each map of the company, by way of seeing.
    """

    classifier: Classifier
    concept: Concept
    saliency: SaliencyMap
    place: int
    company: tuple[Concept, ...]
    other: SaliencyMap | None
    verifiers: tuple[Classifier, ...]
    photographs: Photographs | None
    samples: int
    similarities: dict[str, Tensor]

    @property
    def recipe(self) -> Recipe:
        return Recipe.from_json(self.saliency.recipe)

    def drawn(self, purpose: str, distribution: Distribution | None = None) -> Draws:
        """Fresh draws and views, never those of the estimate; the same for every map where the purpose is the same."""
        recipe = self.recipe
        generator = make_generator(recipe.seed, f"evidence/{purpose}", 0)
        return draw(distribution or recipe.distribution, recipe.views, [generator], self.samples,
                    self.classifier.image_shape)  # fmt: skip

    def outputs(self, drawn: Draws, maps: Tensor) -> Tensor:
        """Logits `(samples, classes)` of the draws carrying one map `(C, H, W)`, or each its own of as many."""
        compose = COMPOSITIONS[self.recipe.composition]
        laid = (
            overlay(drawn, maps[None], compose) if maps.ndim == 3 else overlay(replace(drawn, count=1), maps, compose)
        )
        with torch.no_grad():
            return self.classifier(laid)

    def random_maps(self, saliency: Tensor) -> Tensor:
        """A random map for each draw, `(samples, C, H, W)`: the given one with its phases scrambled."""
        generator = make_generator(self.recipe.seed, f"evidence/random/{self.concept.name}", 0)
        return scrambled(saliency, self.samples, generator)


def stamp(saliency: SaliencyMap) -> Tensor:
    """The map at the contrast that it is shown at: step 5 of the method, *scale*, makes stamps of equal strength."""
    scale = display_scale(saliency.map[None], Recipe.from_json(saliency.recipe))
    return saliency.map * scale[0]


def scrambled(saliency: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random maps of the same norm, colours and spectrum as `saliency` `(C, H, W)`, with random phases.

    A harder control than white noise, which a model ignores whatever its norm: only the arrangement is lost.
    """
    noise = torch.fft.rfft2(torch.randn(count, 1, *saliency.shape[1:], generator=generator))
    phases = noise / noise.abs().clamp(min=1e-12)
    return torch.fft.irfft2(torch.fft.rfft2(saliency) * phases, s=saliency.shape[1:])


def concept_of(saliency: SaliencyMap, labels: Sequence[str]) -> Concept:
    """The concept that a finished map is of; one that text cannot say again is the set of its targets."""
    scored = saliency.recipe["score"]
    try:
        concept = parse(saliency.concept, labels, scored=scored)
    except PhospheneError:  # the name of a set file, or a concept of the user's own
        return Classes(saliency.targets, saliency.concept, scored)
    same = concept.targets == saliency.targets and concept.name == saliency.concept
    return concept if same else Classes(saliency.targets, saliency.concept, scored)


def centred(outputs: Tensor) -> Tensor:
    """Logits less their mean of each sample: what all classes gain together changes no answer."""
    return outputs - outputs.mean(dim=1, keepdim=True)
