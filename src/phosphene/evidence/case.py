"""One map under examination, and what measures do with it: lay it on draws and read the model's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.evidence.photographs import Photographs
from phosphene.evidence.stamping import scramble_phases
from phosphene.method.restarts import weaken_views
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution
from phosphene.recipe.draws import Draws, draw, overlay
from phosphene.recipe.recipe import Recipe
from phosphene.runs.saliency import SaliencyMap


@dataclass(frozen=True)
class Case:
    """A map with all that its scores may depend on.

    `concepts` are those of all maps of the run, this one's at `index`. `other` is the map of another class, None where
    the run has one map. `photographs` is None where there are none for the model. `similarities` are those of this map
    to each map of the run, `(maps,)`, by kind of similarity.
    """

    classifier: Classifier
    concept: Concept
    saliency: SaliencyMap
    index: int
    concepts: tuple[Concept, ...]
    other: SaliencyMap | None
    verifiers: tuple[Classifier, ...]
    photographs: Photographs | None
    samples: int
    similarities: Mapping[str, Tensor]

    @property
    def recipe(self) -> Recipe:
        """The recipe, with the views that the map was made with."""
        return weaken_views(Recipe.from_json(self.saliency.recipe), self.saliency.scores.views_kept)

    def draw(self, purpose: str, distribution: Distribution | None = None) -> Draws:
        """Fresh draws and views, never those of the estimate; every map of a run gets the same for one purpose."""
        recipe = self.recipe
        generators = [make_generator(recipe.seed, f"evidence/{purpose}", 0)]
        shape = self.classifier.image_shape
        return draw(distribution or recipe.distribution, recipe.views, generators, self.samples, shape)

    def compute_logits(self, draws: Draws, maps: Tensor) -> Tensor:
        """Logits `(samples, classes)` of the draws with a map `(C, H, W)` laid on all, or `(samples, C, H, W)` one on
        each."""
        compose = COMPOSITIONS[self.recipe.composition]
        if maps.ndim == 3:
            images = overlay(draws, maps[None], compose)
        else:
            images = overlay(replace(draws, count=1), maps, compose)
        with torch.no_grad():
            return self.classifier(images)

    def draw_random_maps(self, saliency: Tensor) -> Tensor:
        """A random map for each draw, `(samples, C, H, W)`: `saliency` `(C, H, W)` with its phases scrambled."""
        generator = make_generator(self.recipe.seed, f"evidence/random/{self.concept.name}", 0)
        return scramble_phases(saliency, self.samples, generator)
