"""Which classes are read, and among how many names: those of development and of the final figures are apart."""

from __future__ import annotations

import random

from benchmarks.experiments import development_classes
from benchmarks.recognition import random_classes

NAMES = 240  # on the list that a reader chooses from
SETS = {"development": 24, "final": 48, "second": 48}  # how many classes each has


def classes_of(name: str) -> list[int]:
    """The classes of a set; the final ones are neither among those of the comparison nor tuned on by anyone, and those
    of the second final set were not read before."""
    if name == "development":
        return development_classes(SETS[name])
    used = {*random_classes(0, 100), *development_classes(64), *(classes_of("final") if name == "second" else [])}
    return random.Random(4 if name == "second" else 2).sample(
        [index for index in range(1000) if index not in used], SETS[name]
    )


def names_on_the_list(classes: list[int], labels: tuple[str, ...]) -> list[str]:
    """The first name of every class that is read and of others drawn at random, in alphabetical order."""
    others = [index for index in range(1000) if index not in classes]
    drawn = random.Random(3).sample(others, NAMES - len(classes))
    return sorted({first_name(labels[index]) for index in (*classes, *drawn)}, key=str.lower)


def first_name(label: str) -> str:
    """Of a label's names the first."""
    return label.split(",")[0].strip()
