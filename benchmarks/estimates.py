"""Maps as `make_maps` makes them, with all attempts that the recipe grants, and nothing else measured about them.

Only `paper` refines in the run; here it does not, for its masks hold no law (docs/results.md, "unrefined").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.method.multires import estimate
from phosphene.method.restarts import surest
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe

Make = Callable[[Classifier, Sequence[Concept], Recipe], Tensor]


@dataclass(frozen=True)
class Map:
    map: Tensor
    passes: float = 0.0  # nobody asks for them here


def plain(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """Maps `(N, C, H, W)` of one attempt."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps()


def estimated(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, make: Make = plain) -> Tensor:
    """The surest maps `(N, C, H, W)` of `recipe.restarts`, each made by `make`."""
    kept = surest(classifier, concepts, recipe, lambda *asked: [Map(one) for one in make(*asked)])
    return torch.stack([one.made.map for one in kept])
