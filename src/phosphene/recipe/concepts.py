"""What is asked of the model: a concept `κ` turns outputs into one score a sample, the bigger the more of the concept.

In Python concepts add, subtract and scale; on the command line the same algebra is written out:

    goldfish                     a class, by any of its names, whatever the case
    207                          a class, by its index
    beagle, pug, collie          a set: any of them will do
    @dogs.txt                    a set from a file, one name or index a line
    tabby - tiger cat            what tells one from the other
    0.5 * zebra + 2 * horse cart a weighted sum
    blocks.4:37                  channel 37 of a layer, its mean over the image
    blocks.4:37@center           the neuron in the middle of that channel

Operators stand between spaces, so that `black-and-tan coonhound` stays one name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from phosphene.errors import BadInput


@runtime_checkable
class Concept(Protocol):
    """One score a sample. `targets` are the outputs that it raises: a sample shows it when one of them is top-1.

    A concept with a `layer` scores that layer's channels, as `phosphene.reading` gives them, instead of the logits.
    """

    @property
    def name(self) -> str: ...

    @property
    def targets(self) -> tuple[int, ...]: ...

    def score(self, outputs: Tensor) -> Tensor:
        """Outputs `(samples, classes or channels)` → scores `(samples,)`."""


def logit(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The bare logit; of a set, the log-sum-exp. Its maps are recognised by more other models than the others' are."""
    return outputs[:, list(indices)].logsumexp(dim=1)


def log_probability(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """Log of the softmax probability: minus the cross-entropy, the paper's score."""
    return logit(outputs, indices) - outputs.logsumexp(dim=1)


def half_margin(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The logit, less half the log-sum-exp of all other logits: what the class has, more than what its likes share.

    Of a set of all outputs the bare logit, for there is nothing else to tell it from.
    """
    others = outputs[:, _outside(outputs, indices)]
    return logit(outputs, indices) - 0.5 * others.logsumexp(dim=1) if others.shape[1] else logit(outputs, indices)


def margin(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The logit over the best of all other logits."""
    others = _outside(outputs, indices)
    if not others.any():
        raise BadInput("margin needs an output outside the set; got a set of all outputs, use the logit score")
    return logit(outputs, indices) - outputs[:, others].amax(dim=1)


def _outside(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """Which outputs `(classes,)` are not among `indices`."""
    others = torch.ones(outputs.shape[1], dtype=torch.bool, device=outputs.device)
    others[list(indices)] = False
    return others


Score = Callable[[Tensor, Sequence[int]], Tensor]
SCORES: dict[str, Score] = {
    "logit": logit,
    "half_margin": half_margin,
    "log_probability": log_probability,
    "margin": margin,
}


class Algebra:
    """`a - b`, `a + b`, `2 * a`: a weighted sum of concepts is a concept."""

    def __add__(self, other: Concept) -> Weighted:
        return Weighted(_terms(self) + _terms(other))

    def __sub__(self, other: Concept) -> Weighted:
        return Weighted(_terms(self) + _terms(-1.0 * _as_algebra(other)))

    def __mul__(self, factor: float) -> Weighted:
        return Weighted(tuple((factor * weight, concept) for weight, concept in _terms(self)))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Classes(Algebra):
    """A class, or a set of classes of which any will do; `scored` is a key of `SCORES`, None for the recipe's score."""

    targets: tuple[int, ...]
    name: str
    scored: str | None = None

    def score(self, outputs: Tensor) -> Tensor:
        return SCORES[self.scored or "logit"](outputs, self.targets)


@dataclass(frozen=True)
class Channel(Algebra):
    """A channel of a layer, such as `blocks.4:37`; of a layer with `@center`, the neuron in the middle of it."""

    layer: str
    targets: tuple[int, ...]
    name: str

    def score(self, outputs: Tensor) -> Tensor:
        return outputs[:, list(self.targets)].mean(dim=1)


@dataclass(frozen=True)
class Weighted(Algebra):
    """A weighted sum of concepts: `tabby - tiger cat` asks what tells the first from the second."""

    terms: tuple[tuple[float, Concept], ...]

    def __post_init__(self) -> None:
        layers = {layer_of(concept) for _, concept in self.terms}
        if len(layers) > 1:
            mixed = ", ".join(sorted("the logits" if layer is None else layer for layer in layers))
            raise BadInput(f"the sum {self.name!r} reads {mixed}; expected concepts of one layer, or classes alone")

    @property
    def layer(self) -> str | None:
        return layer_of(self.terms[0][1])

    @property
    def name(self) -> str:
        (weight, first), *others = self.terms
        start = first.name if weight == 1 else f"{weight:.12g} * {first.name}"
        return start + "".join(_signed(weight, concept.name) for weight, concept in others)

    @property
    def targets(self) -> tuple[int, ...]:
        raised = {index for weight, concept in self.terms if weight > 0 for index in concept.targets}
        return tuple(sorted(raised))

    def score(self, outputs: Tensor) -> Tensor:
        return torch.stack([weight * concept.score(outputs) for weight, concept in self.terms]).sum(dim=0)


def layer_of(concept: Concept) -> str | None:
    """The layer whose channels a concept scores; None for one that scores the logits."""
    return getattr(concept, "layer", None)


def classes_of(concept: Concept) -> tuple[int, ...]:
    """The classes that a concept raises: none where it raises channels of a layer."""
    return concept.targets if layer_of(concept) is None else ()


def scores_used(concept: Concept) -> set[str]:
    """The registered scores that a concept is made of; empty for one that scores in its own way."""
    if isinstance(concept, Weighted):
        return {name for _, term in concept.terms for name in scores_used(term)}
    return {concept.scored} if isinstance(concept, Classes) and concept.scored is not None else set()


def score_by(concept: Concept, score: str) -> Concept:
    """The concept with its classes scored by `score`, wherever they do not say how."""
    if isinstance(concept, Weighted):
        return Weighted(tuple((weight, score_by(term, score)) for weight, term in concept.terms))
    return replace(concept, scored=score) if isinstance(concept, Classes) and concept.scored is None else concept


def _terms(concept: object) -> tuple[tuple[float, Concept], ...]:
    return concept.terms if isinstance(concept, Weighted) else ((1.0, _as_concept(concept)),)


def _as_concept(value: object) -> Concept:
    if not isinstance(value, Concept):
        raise TypeError(f"expected a concept, got {type(value).__name__}")
    return value


def _as_algebra(concept: Concept) -> Weighted:
    return Weighted(_terms(concept))


def _signed(weight: float, name: str) -> str:
    size = "" if abs(weight) == 1 else f"{abs(weight):.12g} * "
    return f" {'-' if weight < 0 else '+'} {size}{name}"
