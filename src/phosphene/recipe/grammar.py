"""Text to concept."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from phosphene.errors import BadInput, UnknownConcept
from phosphene.recipe.concepts import SCORES, Channel, Classes, Concept, Weighted


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
