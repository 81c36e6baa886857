"""Text to concept, the grammar of the command line.

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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from phosphene.errors import BadInput, UnknownConcept
from phosphene.recipe.concepts import SCORES, Channel, Classes, Concept, Weighted

Term = tuple[float, Classes | Channel]  # weight and what is weighted


def parse(text: str, labels: Sequence[str], *, model: str = "the model", scored: str = "logit") -> Concept:
    """The concept that `text` names; the classes in it are scored by `scored`, a key of `SCORES`.

    `labels` holds each class's names, separated by commas. Raises `UnknownConcept` with the closest, or `BadInput`.
    """
    if scored not in SCORES:
        raise BadInput(f"unknown score {scored!r}; expected one of {', '.join(SCORES)}")
    terms = [(weight, _score_by(scored, atom)) for weight, atom in _parse_terms(text, ClassNames(labels, model))]
    concept = terms[0][1] if len(terms) == 1 and terms[0][0] == 1.0 else Weighted(tuple(terms))
    if not concept.targets:
        raise BadInput(f"{text!r} raises nothing; give at least one class or channel a positive weight")
    return concept


@functools.lru_cache(maxsize=8)
def class_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The first name of each class; with its index where two classes share that name."""
    names = ClassNames(labels, "the model")
    return tuple(names.display(index) for index in range(len(labels)))


class ClassNames:
    """Finds a class by any of its names or its index."""

    def __init__(self, labels: Sequence[str], model: str) -> None:
        self.labels, self.model = labels, model
        self.by_name: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            for synonym in {part.strip().casefold() for part in label.split(",")}:
                self.by_name.setdefault(synonym, []).append(index)

    def find(self, word: str) -> int:
        """The index of the class that is called `word`; raises `UnknownConcept` where there is none, or several."""
        if re.fullmatch(r"-?\d+", word):
            return self._check_index(int(word))
        indices = self.by_name.get(word.casefold(), [])
        displayed = re.fullmatch(r"(.+) \((\d+)\)", word)
        if not indices and displayed and int(displayed[2]) in self.by_name.get(displayed[1].casefold(), []):
            return int(displayed[2])
        if len(indices) > 1:
            listed = ", ".join(map(str, indices))
            raise UnknownConcept(
                f"{len(indices)} classes of {self.model} are called {word!r}; give the index: {listed}"
            )
        if not indices:
            raise self._unknown(word)
        return indices[0]

    def display(self, index: int) -> str:
        """The first name of a class; with its index where another class shares it."""
        first = self.labels[index].split(",")[0].strip()
        return first if len(self.by_name[first.casefold()]) == 1 else f"{first} ({index})"

    def _check_index(self, index: int) -> int:
        if not 0 <= index < len(self.labels):
            count = len(self.labels)
            raise UnknownConcept(f"no class {index}: {self.model} has {count} outputs, expected 0 to {count - 1}")
        return index

    def _unknown(self, word: str) -> UnknownConcept:
        closest = difflib.get_close_matches(word.casefold(), self.by_name, n=4, cutoff=0.5)
        hint = f"closest: {', '.join(closest)}" if closest else "nothing is spelt like it"
        return UnknownConcept(
            f"no class of {self.model} is called {word!r}; {hint}. `phosphene list concepts MODEL` shows all "
            f"{len(self.labels)}"
        )


def _parse_terms(text: str, names: ClassNames) -> list[Term]:
    pieces = re.split(r"\s+([+-])\s+", text.strip())
    signs = [1.0, *(1.0 if sign == "+" else -1.0 for sign in pieces[1::2])]
    terms = [_parse_term(piece, names) for piece in pieces[::2]]
    return [(sign * weight, atom) for sign, (weight, atom) in zip(signs, terms, strict=True)]


def _parse_term(piece: str, names: ClassNames) -> Term:
    weighted = re.fullmatch(r"(-?\d+(?:\.\d*)?|\.\d+)\s*\*\s*(.+)", piece)
    weight, atom = (float(weighted[1]), weighted[2]) if weighted else (1.0, piece)
    if not atom.strip():
        raise BadInput("an empty concept; expected a class name, an index, or a sum such as `tabby - tiger cat`")
    channel = re.fullmatch(r"([\w.]+):(\d+)(@center)?", atom.strip())
    if channel and atom.strip().casefold() not in names.by_name:
        layer, index, place = channel[1], int(channel[2]), channel[3] or ""
        return weight, Channel(layer + place, (index,), f"{layer}:{index}{place}")
    return weight, _parse_classes(atom, names)


def _parse_classes(atom: str, names: ClassNames) -> Classes:
    """A class or a set of classes, from a comma list or from a file after `@`."""
    path = Path(atom[1:].strip()) if atom.startswith("@") else None
    words = [word.strip() for word in atom.split(",")] if path is None else _read_words(path)
    indices = tuple(sorted({names.find(word) for word in words if word}))
    if path is not None and len(indices) > 1:
        return Classes(indices, path.stem)
    return Classes(indices, ", ".join(map(names.display, indices)))


def _read_words(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the set file {str(path)!r}: {error}; expected one class a line") from error
    words = [word for line in lines if (word := line.split("#")[0].strip())]
    if not words:
        raise BadInput(f"the set file {str(path)!r} names no class; expected one name or index a line")
    return words


def _score_by(scored: str, atom: Classes | Channel) -> Classes | Channel:
    return replace(atom, scored=scored) if isinstance(atom, Classes) else atom
