"""Statistics of a model less those of its base, and pairs of clean models as what such differences are without a
backdoor.

A class that is naturally easy to reach is so in the base too: in the difference that cancels, and what was planted
since stays. The null is made of the clean references: each less the one that is most like it, of as many classes and
the same image format. Models that were trained apart differ more than a model and what became of it by training on, so
that the ranks are conservative as long as the differences of twins are no more uneven over the classes than those of
strangers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from phosphene.scanner.pool import Pool
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.statistics.registry import collect_roles, list_columns


def subtract(row: Row, base: Row, left_out: Collection[str] = ()) -> Row:
    """By column that both have: one difference a class, and one for the model as a whole. A level stays the model's
    own, for it tells what the model is like."""
    levels = collect_roles().levels
    classes = {
        name: tuple(own - other for own, other in zip(values, base.classes[name], strict=True))
        for name, values in row.classes.items()
        if name in base.classes and name not in left_out
    }
    whole = {
        name: value if name in levels else value - base.whole[name]
        for name, value in row.whole.items()
        if name in base.whole and name not in left_out
    }
    return replace(row, classes=classes, whole=whole)


def undo_logarithms(row: Row) -> Row:
    """With what the columns of logarithms are of: a logarithm falls to its floor where no image reaches a class, and
    differences of floors would outdo all others."""
    logs = {column.key for column in list_columns().values() if column.logarithm}
    classes = {name: tuple(np.exp(values).tolist()) if name in logs else values for name, values in row.classes.items()}
    return replace(row, classes=classes)


def pair_references(table: Reference) -> dict[int, Row]:
    """By place in the table, the difference of a model and of the one that is most like it; none where it has no
    like."""
    rows = table.rows
    alike = Pool(rows, collect_roles()).alike if rows else np.zeros((0, 0))
    pairs = {}
    for place, row in enumerate(rows):
        others = [other for other in range(len(rows)) if other != place and _same_task(row, rows[other])]
        if others:
            pairs[place] = subtract(row, rows[max(others, key=lambda other: float(alike[place, other]))])
    return pairs


def _same_task(row: Row, other: Row) -> bool:
    return (row.outputs, row.size, row.channels) == (other.outputs, other.size, other.channels)
