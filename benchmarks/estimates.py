"""Maps as `make_maps` makes them, with all restarts that the recipe grants, and nothing else measured about them.

Only `paper` refines in the run; here it does not, for its masks hold no law (docs/results.md, "unrefined").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.method.multires import estimate
from phosphene.method.restarts import best_of_restarts
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe

# Classifier, concepts, recipe and number of the restart → maps `(N, C, H, W)`.
MakeMaps = Callable[[Classifier, Sequence[Concept], Recipe, int], Tensor]


@dataclass(frozen=True)
class MapOnly:
    """An estimate without its cost, which is not reported here."""

    map: Tensor
    passes: float = 0.0


def estimate_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, restart: int = 0) -> Tensor:
    """Maps `(N, C, H, W)` of one start."""
    *_, last = estimate(classifier, concepts, recipe, restart=restart)
    return last.maps()


def estimate_best_maps(
    classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, make: MakeMaps = estimate_maps
) -> Tensor:
    """The best maps `(N, C, H, W)` of `recipe.restarts`, each made by `make`."""

    def make_all(model: Classifier, some: Sequence[Concept], settings: Recipe, restart: int) -> list[MapOnly]:
        return [MapOnly(one) for one in make(model, some, settings, restart)]

    best = best_of_restarts(classifier, concepts, recipe, make_all)
    return torch.stack([one.estimate.map for one in best])


def draw_concepts(classifier: Classifier, names: Sequence[str], recipe: Recipe) -> Tensor:
    """Bare pictures `(N, C, H, W)` of concepts by name or index."""
    concepts = [parse(name, classifier.labels, scored=recipe.score) for name in names]
    maps = estimate_best_maps(classifier, concepts, recipe)
    return render_pictures(maps, recipe, display_scale(maps, recipe))
