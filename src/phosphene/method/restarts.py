"""Restarts: a map that its own model does not see is made from other draws too, and the surest is kept.

Now and then the first steps lead somewhere else, to a neighbour of the class or to textures that speak for others too,
and no further step leads back. Own fidelity tells, without anybody else's opinion. A network that knows a class in its
place only sees no map that moves: later starts move less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from phosphene.method.fidelity import Fidelity, measure_fidelity
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.recipe import Recipe
from phosphene.recipe.views import STILL

RESTART_BELOW = 0.95  # own fidelity, as a mean probability, from which a map is not started again
VIEWS_KEPT = (
    1.0,
    1.0,
    0.5,
    0.25,
    0.0,
)  # share of the recipe's views at each start; the last one holds for those after it


class HasMap(Protocol):
    """What an estimate must have to be compared with another one."""

    @property
    def map(self) -> Tensor: ...

    @property
    def passes(self) -> float: ...


Estimate = TypeVar("Estimate", bound=HasMap)
# Classifier, concepts, recipe and number of the restart → an estimate of each concept.
MakeEstimates = Callable[[Classifier, Sequence[Concept], Recipe, int], Sequence[Estimate]]


@dataclass(frozen=True)
class Best(Generic[Estimate]):
    """The surest estimate of a concept, its own fidelity, how many were made, and the passes of them all; `views_kept`
    is the share of the recipe's views that it was made and measured under, `kept_start` the number of the start that
    it is from: all after the first were made at full size and with the gradient as it is."""

    estimate: Estimate
    fidelity: Fidelity
    restarts: int
    passes: float
    views_kept: float = 1.0
    kept_start: int = 1


def best_of_restarts(
    classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, make: MakeEstimates[Estimate]
) -> list[Best[Estimate]]:
    """What `make` makes of each concept; below `RESTART_BELOW` it is made again until the model sees it, at most
    `recipe.restarts` times in all.

    Those after the first are made at full size throughout and with the gradient as it is, for half the size or a leak
    through a hundred layers may be what led astray, and one at a time, so that no more are made than it takes. From
    the third on the views weaken, the fifth has none: a network that was trained on centred images knows a class in its
    place only. All of a concept are measured on the same draws, each under the views that it was made with.
    """
    single = classifier.replace(batch_size=min(recipe.samples, classifier.batch_size))
    best = []
    for concept, first in zip(concepts, make(classifier, concepts, recipe, 0), strict=True):
        kept = Best(first, measure_fidelity(classifier, concept, first.map, recipe), 1, first.passes)
        while kept.fidelity.probability < RESTART_BELOW and kept.restarts < recipe.restarts:
            share = _views_kept(recipe, kept.restarts)
            weaker = replace(weaken_views(recipe, share), coarse=0.0, leak=0.0, residual=1.0)
            (again,) = make(single, [concept], weaker, kept.restarts)
            kept = _better(kept, again, measure_fidelity(classifier, concept, again.map, weaker), share)
        best.append(kept)
    return best


def _views_kept(recipe: Recipe, restart: int) -> float:
    return 1.0 if recipe.views == STILL else VIEWS_KEPT[min(restart, len(VIEWS_KEPT) - 1)]


def weaken_views(recipe: Recipe, share: float) -> Recipe:
    """The recipe with views that go a `share` in [0,1] as far; the very same for 1."""
    return recipe if share == 1 else replace(recipe, views=recipe.views.weaken(share))


def _better(kept: Best[Estimate], again: Estimate, fidelity: Fidelity, views_kept: float) -> Best[Estimate]:
    counted = replace(kept, restarts=kept.restarts + 1, passes=kept.passes + again.passes)
    if fidelity.probability <= kept.fidelity.probability:
        return counted
    return replace(counted, estimate=again, fidelity=fidelity, views_kept=views_kept, kept_start=counted.restarts)
