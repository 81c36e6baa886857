"""Superclasses of ImageNet's classes: `dog` for a model that knows 118 breeds and not the word.

The table is WordNet's (wordnet/README.md says which and how it was made). It is used where the labels of a model are
ImageNet's 1000 classes in their usual order, called by names or by wnids, also after a background class.
"""

from __future__ import annotations

import functools
import json
import lzma
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phosphene.errors import UnknownConcept

TABLE = Path(__file__).with_name("wordnet") / "imagenet.json.xz"
CLASSES = 1000
ALIKE = 0.95  # share of the labels that must be WordNet's: lists differ in a few, such as its two cranes


@dataclass(frozen=True)
class Superclass:
    """A meaning in WordNet, and the ImageNet classes below it."""

    wnid: str
    names: tuple[str, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """What the shipped file holds: wnid and names of each class, and the superclasses."""

    wnids: tuple[str, ...]
    names: tuple[frozenset[str], ...]
    superclasses: tuple[Superclass, ...]
    by_name: Mapping[str, tuple[Superclass, ...]]  # names without capitals, and wnids


class Superclasses:
    """Finds the classes of a model by the name or wnid of a superclass; none where its classes are not ImageNet's."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.offset = find_offset(labels)

    def find(self, word: str) -> Superclass | None:
        """The superclass of that name, its classes as indices of the model's outputs; None where there is none.

        Raises `UnknownConcept` where the name has several meanings, with their wnids.
        """
        found = () if self.offset is None else read_table().by_name.get(word.casefold(), ())
        if len({row.classes for row in found}) > 1:
            meanings = ", ".join(f"{row.wnid} ({len(row.classes)}: {', '.join(row.names)})" for row in found)
            raise UnknownConcept(f"{word!r} means several superclasses of ImageNet's; give the wnid: {meanings}")
        return self._shift(found[0]) if found else None

    def find_class(self, wnid: str) -> int | None:
        """The output of an ImageNet class by its wnid, where no label says it."""
        known = self.offset is not None and wnid.casefold() in read_table().wnids
        return read_table().wnids.index(wnid.casefold()) + (self.offset or 0) if known else None

    def display(self, row: Superclass) -> str:
        """The first of its names that means this superclass alone, or its wnid."""
        table = read_table()
        alone = (name for name in row.names if len({one.classes for one in table.by_name[name.casefold()]}) == 1)
        return next(alone, row.wnid)

    def list_all(self) -> list[Superclass]:
        """Every superclass, the largest first."""
        rows = () if self.offset is None else read_table().superclasses
        return [self._shift(row) for row in sorted(rows, key=lambda row: -len(row.classes))]

    def _shift(self, row: Superclass) -> Superclass:
        offset = self.offset or 0
        return Superclass(row.wnid, row.names, tuple(index + offset for index in row.classes))


def find_offset(labels: Sequence[str]) -> int | None:
    """How many outputs come before ImageNet's first class, 0 or 1; None where the labels are of other classes."""
    offset = len(labels) - CLASSES
    if offset not in (0, 1):
        return None
    table = read_table()
    rows = zip(labels[offset:], table.wnids, table.names, strict=True)
    alike = sum(bool(_split_names(label) & {wnid, *names}) for label, wnid, names in rows)
    return offset if alike >= ALIKE * CLASSES else None


def _split_names(label: str) -> frozenset[str]:
    return frozenset(part.replace("_", " ").strip().casefold() for part in label.split(","))


@functools.lru_cache(maxsize=1)
def read_table() -> Table:
    """The shipped table; it never changes while the program runs."""
    content = json.loads(lzma.decompress(TABLE.read_bytes()))
    classes, above = content["classes"], content["superclasses"]
    rows = zip(above["wnid"], above["names"], above["classes"], strict=True)
    found = [Superclass(wnid, tuple(names.split(", ")), unpack_indices(of)) for wnid, names, of in rows]
    by_name: dict[str, tuple[Superclass, ...]] = {}
    for one in found:
        for name in {one.wnid, *map(str.casefold, one.names)}:
            by_name[name] = (*by_name.get(name, ()), one)
    return Table(tuple(classes["wnid"]), tuple(map(_split_names, classes["names"])), tuple(found), by_name)


def pack_indices(indices: Sequence[int]) -> str:
    """Rising numbers as `3 7-12`: classes of one kind mostly stand together."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    return " ".join("-".join(map(str, run)) for run in runs)


def unpack_indices(packed: str) -> tuple[int, ...]:
    """The inverse of `pack_indices`."""
    ends = (re.fullmatch(r"(\d+)(?:-(\d+))?", part) for part in packed.split())
    return tuple(k for found in ends if found for k in range(int(found[1]), int(found[2] or found[1]) + 1))
