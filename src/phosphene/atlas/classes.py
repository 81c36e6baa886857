"""Which classes an atlas has: all of them, a range, a family, those of a file."""

from __future__ import annotations

import re
from pathlib import Path

from phosphene.core.reading import explain, read_text
from phosphene.errors import BadInput, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.names import ClassNames, class_names
from phosphene.recipe.recipe import Recipe

RANGE = re.compile(r"(\d+)-(\d+)")


def choose_classes(classifier: Classifier, asked: str, recipe: Recipe) -> list[Classes]:
    """Each class that `asked` names, once, as a concept of its own: `all`, `0-99`, `dog` for every dog, `3,17,zebra`,
    or the path of a file with one of these a line.

    Raises `UnknownConcept` or `BadInput` where a part names nothing, with the part.
    """
    if not classifier.labels:
        raise BadInput(f"{classifier.name} has no classes of its own; expected a model whose outputs are classes")
    names = class_names(classifier.labels)
    indices = dict.fromkeys(index for part in _split(asked) for index in _find(classifier, part))
    if not indices:
        raise BadInput(f"--classes {asked!r} names no class; expected all, a range such as 0-99, a family or a file")
    return [Classes((index,), names[index], recipe.score) for index in indices]


def _split(asked: str) -> list[str]:
    """The parts of a list; of a file, its lines without comments."""
    path = Path(asked)
    if not path.is_file():
        return [part.strip() for part in asked.split(",") if part.strip()]
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the classes of {asked!r}: {explain(error)}; expected a class a line") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _find(classifier: Classifier, part: str) -> tuple[int, ...]:
    labels = classifier.labels
    if part == "all":
        return tuple(range(len(labels)))
    found = RANGE.fullmatch(part)
    if found is None:
        return ClassNames(labels, classifier.name).find_all(part).indices
    first, last = int(found[1]), int(found[2])
    if not first <= last < len(labels):
        raise UnknownConcept(
            f"{classifier.name} has no classes {part}: it has {len(labels)}, expected a range within "
            f"0-{len(labels) - 1}"
        )
    return tuple(range(first, last + 1))
