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

import difflib
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from phosphene.errors import BadInput, UnknownConcept


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


def margin(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    """The logit over the best of all other logits."""
    others = torch.ones(outputs.shape[1], dtype=torch.bool, device=outputs.device)
    others[list(indices)] = False
    if not others.any():
        raise BadInput("margin needs an output outside the set; got a set of all outputs, use the logit score")
    return logit(outputs, indices) - outputs[:, others].amax(dim=1)


Score = Callable[[Tensor, Sequence[int]], Tensor]
SCORES: dict[str, Score] = {"logit": logit, "log_probability": log_probability, "margin": margin}


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
    """A class, or a set of classes of which any will do."""

    targets: tuple[int, ...]
    name: str
    scored: str = "logit"

    def score(self, outputs: Tensor) -> Tensor:
        return SCORES[self.scored](outputs, self.targets)


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
    return {concept.scored} if isinstance(concept, Classes) else set()


ACTIVE = 3.09  # the 99.9th percentile of a normal distribution: one draw of noise in a thousand is above it


def probability(outputs: Tensor, concept: Concept) -> Tensor:
    """Probability that the model gives to the concept's targets, `(samples,)` in [0,1].

    Channels have none; of them it is 1 where a target is above what noise without a map gives, once in a thousand.
    """
    raised = list(concept.targets)
    if layer_of(concept) is not None:
        return (outputs[:, raised].amax(dim=1) > ACTIVE).float()
    return outputs.softmax(dim=1)[:, raised].sum(dim=1)


def is_top(outputs: Tensor, concept: Concept) -> Tensor:
    """Whether a target is the strongest output, `(samples,)` of 0 and 1."""
    return torch.isin(outputs.argmax(dim=1), torch.tensor(concept.targets, device=outputs.device)).float()


def parse(text: str, labels: Sequence[str], *, model: str = "the model", scored: str = "logit") -> Concept:
    """The concept that `text` names, in the grammar of this module's page.

    `labels` holds each class's names, separated by commas. Raises `UnknownConcept` with the closest, or `BadInput`.
    """
    if scored not in SCORES:
        raise BadInput(f"unknown score {scored!r}; expected one of {', '.join(SCORES)}")
    names = _Names(labels, model)
    pieces = re.split(r"\s+([+-])\s+", text.strip())
    signs = [1.0, *(1.0 if sign == "+" else -1.0 for sign in pieces[1::2])]
    terms = tuple((sign * weight, replace(concept, scored=scored) if isinstance(concept, Classes) else concept)
                  for sign, piece in zip(signs, pieces[::2], strict=True)
                  for weight, concept in [_term(piece, names)])  # fmt: skip
    concept = terms[0][1] if len(terms) == 1 and terms[0][0] == 1.0 else Weighted(terms)
    if not concept.targets:
        raise BadInput(f"{text!r} raises nothing; give at least one class or channel a positive weight")
    return concept


class _Names:
    """Looks a class up by any of its names or its index."""

    def __init__(self, labels: Sequence[str], model: str) -> None:
        self.labels, self.model = labels, model
        self.known: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            for synonym in {part.strip().casefold() for part in label.split(",")}:
                self.known.setdefault(synonym, []).append(index)

    def index(self, word: str) -> int:
        if re.fullmatch(r"-?\d+", word):
            return self._checked(int(word))
        found = self.known.get(word.casefold(), [])
        displayed = re.fullmatch(r"(.+) \((\d+)\)", word)
        if not found and displayed and int(displayed[2]) in self.known.get(displayed[1].casefold(), []):
            return int(displayed[2])
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            raise UnknownConcept(f"{len(found)} classes of {self.model} are called {word!r}; give the index: {listed}")
        if not found:
            closest = difflib.get_close_matches(word.casefold(), self.known, n=4, cutoff=0.5)
            hint = f"closest: {', '.join(closest)}" if closest else "nothing is spelt like it"
            raise UnknownConcept(f"no class of {self.model} is called {word!r}; {hint}. "
                                 f"`phosphene list concepts MODEL` shows all {len(self.labels)}")  # fmt: skip
        return found[0]

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self.labels):
            raise UnknownConcept(f"no class {index}: {self.model} has {len(self.labels)} outputs, "
                                 f"expected 0 to {len(self.labels) - 1}")  # fmt: skip
        return index

    def display(self, index: int) -> str:
        first = self.labels[index].split(",")[0].strip()
        return first if len(self.known[first.casefold()]) == 1 else f"{first} ({index})"


@functools.lru_cache(maxsize=8)
def class_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The first name of each class; with its index where two classes share that name."""
    names = _Names(labels, "the model")
    return tuple(names.display(index) for index in range(len(labels)))


def _term(piece: str, names: _Names) -> tuple[float, Classes | Channel]:
    weighted = re.fullmatch(r"(-?\d+(?:\.\d*)?|\.\d+)\s*\*\s*(.+)", piece)
    weight, atom = (float(weighted[1]), weighted[2]) if weighted else (1.0, piece)
    if not atom.strip():
        raise BadInput("an empty concept; expected a class name, an index, or a sum such as `tabby - tiger cat`")
    channel = re.fullmatch(r"([\w.]+):(\d+)(@center)?", atom.strip())
    if channel and atom.strip().casefold() not in names.known:
        layer, index, place = channel[1], int(channel[2]), channel[3] or ""
        return weight, Channel(layer + place, (index,), f"{layer}:{index}{place}")
    words = _file_words(Path(atom[1:].strip())) if atom.startswith("@") else [w.strip() for w in atom.split(",")]
    indices = tuple(sorted({names.index(word) for word in words if word}))
    if len(indices) == 1:
        return weight, Classes(indices, names.display(indices[0]))
    name = Path(atom[1:].strip()).stem if atom.startswith("@") else ", ".join(map(names.display, indices))
    return weight, Classes(indices, name)


def _file_words(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the set file {str(path)!r}: {error}; expected one class a line") from error
    words = [word for line in lines if (word := line.split("#")[0].strip())]
    if not words:
        raise BadInput(f"the set file {str(path)!r} names no class; expected one name or index a line")
    return words


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
