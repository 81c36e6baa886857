"""Starting again: a map that its own model does not see is made from other draws too, and the surest is kept.

Now and then the first steps lead somewhere else, to a neighbour of the class or to textures that speak for others too,
and no further step leads back. Own fidelity tells, without anybody else's opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from phosphene.classifier import Classifier
from phosphene.concepts import Concept, layer_of
from phosphene.fidelity import Fidelity, fidelity
from phosphene.recipe import Recipe

SURE = 0.9  # own fidelity, as a mean probability, from which a map is not started again


class HasMap(Protocol):
    @property
    def map(self) -> Tensor: ...

    @property
    def passes(self) -> float: ...


Made = TypeVar("Made", bound=HasMap)


@dataclass(frozen=True)
class Kept(Generic[Made]):
    """What was kept of a concept, its own fidelity, how many were made, and the passes of them all."""

    made: Made
    fidelity: Fidelity
    attempts: int
    passes: float


@dataclass(frozen=True)
class Again:
    """The same concept under another name, and so with other draws."""

    inner: Concept
    attempt: int

    @property
    def name(self) -> str:
        return f"{self.inner.name}/again {self.attempt}"

    @property
    def targets(self) -> tuple[int, ...]:
        return self.inner.targets

    @property
    def layer(self) -> str | None:
        return layer_of(self.inner)

    def score(self, outputs: Tensor) -> Tensor:
        return self.inner.score(outputs)


def surest(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    make: Callable[[Sequence[Concept], Recipe], Sequence[Made]],
) -> list[Kept[Made]]:
    """What `make` makes of each concept; of one below `SURE` the most faithful of `recipe.attempts`.

    Attempts after the first are made at full size throughout, for half the size may be what led astray. All at a map
    are measured on the same draws. They are made together, for the rows of a pass that one map alone leaves empty cost
    nothing.
    """
    kept = [
        Kept(made, fidelity(classifier, concept, made.map, recipe), 1, made.passes)
        for concept, made in zip(concepts, make(concepts, recipe), strict=True)
    ]
    unsure = [place for place, one in enumerate(kept) if one.fidelity.probability < SURE]
    again = [(place, Again(concepts[place], attempt)) for place in unsure for attempt in range(1, recipe.attempts)]
    fine = replace(recipe, coarse=0.0)
    together = max(1, classifier.rows_a_pass // recipe.samples)
    for start in range(0, len(again), together):
        part = again[start : start + together]
        for (place, _), made in zip(part, make([concept for _, concept in part], fine), strict=True):
            held, measured = kept[place], fidelity(classifier, concepts[place], made.map, recipe)
            spent = replace(held, attempts=held.attempts + 1, passes=held.passes + made.passes)
            surer = measured.probability > held.fidelity.probability
            kept[place] = replace(spent, made=made, fidelity=measured) if surer else spent
    return kept
