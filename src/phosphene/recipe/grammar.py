"""Text to concept, the grammar of the command line.

    goldfish                     a class, by any of its names, whatever the case
    207, index:207               a class, by its index; a class that is called 207 comes first, unless `index:` is said
    beagle, pug, collie          a set: any of them will do
    @dogs.txt                    a set from a file, one name or index a line
    tabby - tiger cat            what tells one from the other
    0.5 * zebra + 2 * horse cart a weighted sum
    blocks.4:37                  channel 37 of a layer, its mean over the image
    blocks.4:37@center           the neuron in the middle of that channel

Operators stand between spaces, so that `black-and-tan coonhound` stays one name. What is the name of a class means that
class, also where it holds a comma or an operator: the longest name wins.
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
            for synonym in {label.strip().casefold(), *(part.strip().casefold() for part in label.split(","))}:
                self.by_name.setdefault(synonym, []).append(index)

    def __contains__(self, text: str) -> bool:
        return text.strip().casefold() in self.by_name

    def find(self, word: str) -> int:
        """The index of the class that is called `word`; raises `UnknownConcept` where there is none, or several."""
        indices = self.by_name.get(word.casefold(), [])
        if len(indices) > 1:
            count, listed = len(indices), ", ".join(f"index:{index}" for index in indices)
            raise UnknownConcept(f"{count} classes of {self.model} are called {word!r}; give the index: {listed}")
        return indices[0] if indices else self._find_by_index(word)

    def _find_by_index(self, word: str) -> int:
        stated = re.fullmatch(r"(index:)?\s*(-?\d{1,18})", word)
        displayed = re.fullmatch(r"(.+) \((\d+)\)", word)
        if displayed and int(displayed[2]) in self.by_name.get(displayed[1].casefold(), []):
            return int(displayed[2])
        if not stated:
            raise self._unknown(word)
        if not stated[1] and self._has_numbers_for_names():
            raise UnknownConcept(
                f"no class of {self.model} is called {word!r}, and its classes have numbers for names; "
                f"write index:{stated[2]} for the output of that index"
            )
        return self._check_index(int(stated[2]))

    def _has_numbers_for_names(self) -> bool:
        """Whether a number may mean the name of another class than that of its index."""
        return any(re.fullmatch(r"\d+", label) and label != str(k) for k, label in enumerate(self.labels))

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
    pieces = _join_names(re.split(r"(\s+[+-]\s+)", text.strip()), names)
    signs = [1.0, *(1.0 if sign.strip() == "+" else -1.0 for sign in pieces[1::2])]
    terms = [_parse_term(piece, names) for piece in pieces[::2]]
    return [(sign * weight, atom) for sign, (weight, atom) in zip(signs, terms, strict=True)]


def _join_names(pieces: Sequence[str], names: ClassNames) -> list[str]:
    """Text at even places, separators at odd ones; pieces that together are the name of a class are joined."""
    joined: list[str] = []
    start = 0
    while start < len(pieces):
        ends = [end for end in range(len(pieces), start, -2) if _unweighted("".join(pieces[start:end])) in names]
        end = ends[0] if ends else start + 1
        joined += ["".join(pieces[start:end]), *pieces[end : end + 1]]
        start = end + 1
    return joined


WEIGHTED = re.compile(r"(-?\d+(?:\.\d*)?|\.\d+)\s*\*\s*(.+)")


def _unweighted(text: str) -> str:
    weighted = WEIGHTED.fullmatch(text.strip())
    return weighted[2] if weighted else text


def _parse_term(piece: str, names: ClassNames) -> Term:
    weighted = None if piece in names else WEIGHTED.fullmatch(piece)
    weight, atom = (float(weighted[1]), weighted[2]) if weighted else (1.0, piece)
    if not atom.strip():
        raise BadInput("an empty concept; expected a class name, an index, or a sum such as `tabby - tiger cat`")
    channel = re.fullmatch(r"([\w./]+):(\d+)(@center)?", atom.strip())
    if channel and channel[1] != "index" and atom not in names:
        layer, index, place = channel[1], int(channel[2]), channel[3] or ""
        return weight, Channel(layer + place, (index,), f"{layer}:{index}{place}")
    return weight, _parse_classes(atom, names)


def _parse_classes(atom: str, names: ClassNames) -> Classes:
    """A class or a set of classes, from a comma list or from a file after `@`."""
    path = Path(atom[1:].strip()) if atom.startswith("@") and atom not in names else None
    pieces = _join_names(re.split(r"(,)", atom), names) if path is None else []
    words = [word.strip() for word in pieces[::2]] if path is None else _read_words(path, names)
    indices = tuple(sorted({names.find(word) for word in words if word}))
    if path is not None and len(indices) > 1:
        return Classes(indices, path.stem)
    return Classes(indices, ", ".join(map(names.display, indices)))


def _read_words(path: Path, names: ClassNames) -> list[str]:
    """One name or index a line, without empty lines and comments after `#`; `#` may stand in the name of a class."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the set file {str(path)!r}: {error}; expected one class a line") from error
    words = [word for line in lines if (word := line.strip() if line in names else line.split("#")[0].strip())]
    if not words:
        raise BadInput(f"the set file {str(path)!r} names no class; expected one name or index a line")
    return words


def _score_by(scored: str, atom: Classes | Channel) -> Classes | Channel:
    return replace(atom, scored=scored) if isinstance(atom, Classes) else atom
