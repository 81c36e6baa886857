"""Similarity of maps of one class beside that of maps of different classes, for measures that make maps again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from phosphene.evidence.estimates import COSINE, DIGITS, Estimate, estimate_mean, separation
from phosphene.evidence.measure import RunInfo
from phosphene.evidence.similarity import SIMILARITIES
from phosphene.evidence.table import Cell, Row, number_cell


@dataclass(frozen=True)
class Likeness:
    """Mean similarity of `pairs` of maps of one class. `separation` is the AUC against pairs of different classes:
    1 separates them without a mistake, 0.5 not at all; None where the run has one class."""

    mean: Estimate
    pairs: int
    separation: float | None


@dataclass(frozen=True)
class BetweenClasses:
    """Mean similarity of pairs of different classes. Pairs share maps, so that no interval stands beside it."""

    value: float
    pairs: int


def summarize_likeness(score: str, similarities: Sequence[Sequence[float]], between: Tensor) -> Likeness:
    """Of the similarities of each map to other maps of its class, beside those `between` classes `(pairs,)`."""
    pairs = [value for row in similarities for value in row]
    area = round(separation(score, pairs, between), DIGITS) if len(between) else None
    means = [sum(row) / max(1, len(row)) for row in similarities]
    return Likeness(estimate_mean(score, means, COSINE), len(pairs), area)


def summarize_between(run: RunInfo) -> dict[str, BetweenClasses]:
    """Of each kind of similarity that the run has pairs of different classes for."""
    return {
        kind: BetweenClasses(round(values.mean().item(), DIGITS), len(values))
        for kind, values in run.between.items()
        if len(values)
    }


def likeness_cells(likeness: Likeness) -> tuple[Cell, Cell]:
    """Mean similarity and separation."""
    area = likeness.separation
    return number_cell(likeness.mean), Cell("") if area is None else number_cell(area)


def between_row(between: Mapping[str, BetweenClasses], columns: int) -> Row:
    """A last row for comparison, in a table of as many columns for each kind of similarity."""
    cells: list[str | Cell] = ["different classes"]
    for kind in SIMILARITIES:
        mean = number_cell(between[kind].value) if kind in between else Cell("")
        cells += [mean, *[Cell("")] * (columns - 1)]
    return cells
