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
    make: Callable[[Classifier, Sequence[Concept], Recipe], Sequence[Made]],
) -> list[Kept[Made]]:
    """What `make` makes of each concept; one below `SURE` is made again until the model sees it, and the surest kept.

    At most `recipe.attempts` in all. Those after the first are made at full size throughout, for half the size may be
    what led astray, and one at a time, so that no more are made than it takes. All at a map are measured on the same
    draws.
    """
    first = make(classifier, concepts, recipe)
    kept = [
        Kept(made, fidelity(classifier, concept, made.map, recipe), 1, made.passes)
        for concept, made in zip(concepts, first, strict=True)
    ]
    alone, fine = classifier.with_rows(recipe.samples), replace(recipe, coarse=0.0)
    for place, concept in enumerate(concepts):
        while kept[place].fidelity.probability < SURE and kept[place].attempts < recipe.attempts:
            one = kept[place]
            (made,) = make(alone, [Again(concept, one.attempts)], fine)
            measured = fidelity(classifier, concept, made.map, recipe)
            tried = replace(one, attempts=one.attempts + 1, passes=one.passes + made.passes)
            surer = measured.probability > one.fidelity.probability
            kept[place] = replace(tried, made=made, fidelity=measured) if surer else tried
    return kept
