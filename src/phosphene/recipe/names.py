"""The classes that a word names, by the labels of a model."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from phosphene.errors import UnknownConcept
from phosphene.recipe.superclasses import Superclasses

NUMBER = re.compile(r"(index:)?\s*(-?\d{1,18})")


@functools.lru_cache(maxsize=8)
def class_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The first name of each class; with its index where two classes share that name."""
    names = ClassNames(labels, "the model")
    return tuple(names.display(index) for index in range(len(labels)))


@dataclass(frozen=True)
class Found:
    """The classes that a word names, and what to call them."""

    indices: tuple[int, ...]
    name: str


class ClassNames:
    """Finds a class by any of its names or its index, and the classes of a superclass of ImageNet's."""

    def __init__(self, labels: Sequence[str], model: str) -> None:
        self.labels, self.model = labels, model
        self.by_name: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            for synonym in {label.strip().casefold(), *(part.strip().casefold() for part in label.split(","))}:
                self.by_name.setdefault(synonym, []).append(index)

    def __contains__(self, text: str) -> bool:
        return text.strip().casefold() in self.by_name

    def find_all(self, word: str) -> Found:
        """The class that is called `word` or, where none is, those below the superclass of that name.

        Raises `UnknownConcept` where there is neither, or several.
        """
        superclasses = Superclasses(() if word in self or NUMBER.fullmatch(word) else self.labels)
        superclass = superclasses.find(word)
        if superclass is not None:
            return Found(superclass.classes, superclasses.display(superclass))
        index = superclasses.find_class(word)
        index = self.find(word) if index is None else index
        return Found((index,), self.display(index))

    def find(self, word: str) -> int:
        """The index of the class that is called `word`; raises `UnknownConcept` where there is none, or several."""
        indices = self.by_name.get(word.casefold(), [])
        if len(indices) > 1:
            count, listed = len(indices), ", ".join(f"index:{index}" for index in indices)
            raise UnknownConcept(f"{count} classes of {self.model} are called {word!r}; give the index: {listed}")
        return indices[0] if indices else self._find_by_index(word)

    def _find_by_index(self, word: str) -> int:
        stated = NUMBER.fullmatch(word)
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
