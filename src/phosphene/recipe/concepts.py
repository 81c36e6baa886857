"""What is asked of the model: a concept `κ` turns outputs into one score a sample, the bigger the more of the concept.

In Python concepts add, subtract and scale; on the command line the same algebra is written out, as
`phosphene.recipe.grammar` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.recipe.scores import SCORES


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
    """A channel of a layer, such as `blocks.4:37`; of a layer with `@center` or `@Y,X`, its neuron at that place."""

    layer: str
    targets: tuple[int, ...]
    name: str

    def score(self, outputs: Tensor) -> Tensor:
        return outputs[:, list(self.targets)].mean(dim=1)


@dataclass(frozen=True)
class Origin:
    """Where a direction comes from: its file or folders, and the sha256 of its numbers.

    Of one that tells two folders of images apart: how many images each has, and the share of them, both kinds counting
    alike, that it tells right when it was fitted without them, with its 95% interval.
    """

    source: str
    digest: str
    images: tuple[int, int] | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Direction(Algebra):
    """A direction in the channels of a layer: `weights · a` of their spatial means `a`.

    It is scored beside the same weights moved on to other channels, and is output 0 of them
    (`phosphene.model.readout`).
    """

    layer: str
    weights: tuple[float, ...]
    name: str
    origin: Origin
    targets: tuple[int, ...] = (0,)

    def score(self, outputs: Tensor) -> Tensor:
        return outputs[:, 0]


@dataclass(frozen=True)
class Text(Algebra):
    """A text, for a model that compares images with texts.

    `texts` are the embeddings of all texts of the sum that it stands in, whose logits follow those of the classes;
    `targets` is the place of its own.
    """

    targets: tuple[int, ...]
    name: str
    texts: tuple[tuple[float, ...], ...]
    scored: str | None = None

    def score(self, outputs: Tensor) -> Tensor:
        return SCORES[self.scored or "logit"](outputs, self.targets)


@dataclass(frozen=True)
class Readout:
    """What a concept scores where that is not the logits of the classes alone: the channels of a `layer`, a direction
    in them and its copies on other channels, or the logits of classes and `texts`."""

    layer: str | None = None
    weights: tuple[float, ...] = ()
    texts: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Weighted(Algebra):
    """A weighted sum of concepts: `tabby - tiger cat` asks what tells the first from the second."""

    terms: tuple[tuple[float, Concept], ...]

    def __post_init__(self) -> None:
        readouts = {readout_of(concept) for _, concept in self.terms}
        if len(readouts) > 1 and any(layer_of(concept) for _, concept in self.terms):
            mixed = ", ".join(dict.fromkeys(sorted(_describe_readout(concept) for _, concept in self.terms)))
            raise BadInput(
                f"the sum {self.name!r} reads {mixed}, whose units differ; expected classes alone, or channels of one "
                "layer"
            )

    @property
    def layer(self) -> str | None:
        return layer_of(self.terms[0][1])

    @property
    def readout(self) -> Readout | None:
        """That of its terms; of classes and texts, that of the texts, which has the logits of both."""
        return next((readout for _, term in self.terms if (readout := readout_of(term)) is not None), None)

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


def readout_of(concept: Concept) -> Readout | None:
    """What a concept scores; None for one that scores the logits of the classes."""
    match concept:
        case Weighted():
            return concept.readout
        case Direction():
            return Readout(concept.layer, weights=concept.weights)
        case Text():
            return Readout(texts=concept.texts)
    layer = layer_of(concept)
    return None if layer is None else Readout(layer)


def _describe_readout(concept: Concept) -> str:
    layer = layer_of(concept)
    return f"the direction {concept.name}" if isinstance(concept, Direction) else layer or "the logits"


def classes_of(concept: Concept) -> tuple[int, ...]:
    """The classes that a concept raises: none where it raises channels of a layer or the logit of a text."""
    return concept.targets if readout_of(concept) is None else ()


def describe_concept(concept: Concept) -> str | None:
    """What a name does not say: of how many classes it is a set, to which images it was fitted; that it is text."""
    terms = [term for _, term in concept.terms] if isinstance(concept, Weighted) else [concept]
    parts = [said for term in terms if (said := _describe_term(term)) is not None]
    return "; ".join(dict.fromkeys(parts)) or None


def _describe_term(term: Concept) -> str | None:
    match term:
        case Classes() if len(term.targets) > 1:
            return f"{term.name!r} is a set of {len(term.targets)} classes"
        case Text():
            return f"{term.name!r} is no class, and is asked for as a text"
        case Direction(origin=Origin(images=(ones, zeros), accuracy=share, interval=(low, high))):
            return (
                f"{term.name!r} uses data: a direction fitted to {ones} and {zeros} images, {share:.0%} of images that "
                f"it was not fitted to told right ({low:.0%} to {high:.0%})"
            )
    return None


def split_terms(concept: Concept) -> tuple[list[Concept], list[Concept]]:
    """The parts of a sum that are added and those that are subtracted; of any other concept itself."""
    if not isinstance(concept, Weighted):
        return [concept], []
    added = [term for weight, term in concept.terms if weight > 0 and term.targets]
    return added, [term for weight, term in concept.terms if weight < 0 and term.targets]


def find_texts(concept: Concept) -> list[str]:
    """The texts that a concept, or a sum, asks for, in the order of their logits."""
    terms = [term for _, term in concept.terms] if isinstance(concept, Weighted) else [concept]
    texts = {term for term in terms if isinstance(term, Text)}
    return [term.name for term in sorted(texts, key=lambda term: term.targets)]


def find_direction(concept: Concept) -> Direction | None:
    """The direction that a concept, or a sum, asks for."""
    terms = [term for _, term in concept.terms] if isinstance(concept, Weighted) else [concept]
    return next((term for term in terms if isinstance(term, Direction)), None)


def scores_used(concept: Concept) -> set[str]:
    """The registered scores that a concept is made of; empty for one that scores in its own way."""
    if isinstance(concept, Weighted):
        return {name for _, term in concept.terms for name in scores_used(term)}
    return {concept.scored} if isinstance(concept, (Classes, Text)) and concept.scored is not None else set()


def score_by(concept: Concept, score: str) -> Concept:
    """The concept with its classes scored by `score`, wherever they do not say how."""
    if isinstance(concept, Weighted):
        return Weighted(tuple((weight, score_by(term, score)) for weight, term in concept.terms))
    if isinstance(concept, (Classes, Text)) and concept.scored is None:
        return replace(concept, scored=score)
    return concept


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
