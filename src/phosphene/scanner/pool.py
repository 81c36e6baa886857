"""Models that are compared with each other: distances of classes, −log p of each, scores, and who is like whom."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.registry import Roles

Array = NDArray[np.float64]

MAX_BEYOND = 6.0  # most that exceeding all clean models adds, in nats
TAIL = 0.2  # share of the clean models whose excess sets the unit of that
SOFTNESS = 2.0  # nats: kinds whose −log p differ by less count together
COMMON_SHARE = 0.3  # of what speaks of any kind, and of the model as a whole
LIKENESS_WIDTH = 1.0  # deviations of the levels within which models are alike
MIN_LIKENESS = 0.02  # weight of a model that is not alike at all
MIN_DEVIATION = 0.3  # nats added to the deviation of scores of models that are alike


@dataclass(frozen=True)
class Pool:
    """The rows of several models, and what their columns count for."""

    rows: tuple[Row, ...]
    roles: Roles
    like: float = LIKENESS_WIDTH
    left_out: frozenset[str] = frozenset()  # columns that no model is judged by

    def without(self, columns: Collection[str]) -> Pool:
        """The pool without some columns, of all models alike."""
        return replace(self, left_out=self.left_out.union(columns)) if columns else self

    @cached_property
    def spread(self) -> dict[str, float]:
        """Standard deviation of each column over the classes of a model, typical over the models."""
        names = {name for row in self.rows for name in row.classes} - self.left_out
        return {name: _typical([row.centred[name][1] for row in self.rows if name in row.centred]) for name in names}

    @cached_property
    def largest(self) -> dict[str, Array]:
        """The largest distance of each model by column, nan where it lacks it."""
        return {name: np.array([self._largest(row, name) for row in self.rows]) for name in self.spread}

    @cached_property
    def whole(self) -> dict[str, Array]:
        names = {name for row in self.rows for name in row.whole} - self.left_out
        return {name: np.array([row.whole.get(name, math.nan) for row in self.rows]) for name in names}

    def distances(self, row: Row, name: str) -> Array:
        """Of the classes from their median, in units between the model's own spread and the typical one."""
        values, own = row.centred[name]
        return values / math.sqrt((own**2 + self.spread[name] ** 2) / 2)

    def _largest(self, row: Row, name: str) -> float:
        return float(self.distances(row, name).max()) if name in row.centred else math.nan

    def neg_log_p(self, place: int, names: Sequence[str]) -> dict[str, Array]:
        """By column that the model at `place` has, one value a class in nats, against all others."""
        row = self.rows[place]
        present = [name for name in names if name in row.centred and name in self.largest]
        others = {name: np.delete(self.largest[name], place) for name in present}
        return {name: neg_log_p(self.distances(row, name), others[name]) for name in present}

    def neg_log_p_whole(self, place: int, names: Sequence[str]) -> dict[str, float]:
        row = self.rows[place]
        own = {name: np.array([row.whole[name]]) for name in names if name in row.whole and name in self.whole}
        return {name: float(neg_log_p(value, np.delete(self.whole[name], place))[0]) for name, value in own.items()}

    def scores(self, place: int) -> Array:
        """Of each class of the model at `place`, with what stands out in the model as a whole; in nats."""
        surprising = {
            name: np.maximum(values, 0) for name, values in self.neg_log_p(place, sorted(self.roles.of_classes)).items()
        }
        whole = sum(max(0.0, value) for value in self.neg_log_p_whole(place, self.roles.whole).values())
        return join_kinds(surprising, self.roles, self.spread, self.rows[place].outputs, whole)

    @cached_property
    def alike(self) -> Array:
        """How much each model, by row, counts each other one as its like; rows sum to 1, the diagonal is 0."""
        facts = np.array([self._facts(row) for row in self.rows])
        known = np.isfinite(facts).any(axis=0)
        facts = facts[:, known] - np.nanmean(facts[:, known], axis=0)
        spread = np.nanstd(facts, axis=0)
        standard = np.nan_to_num(facts / np.where(spread > 1e-9, spread, 1.0))
        apart = ((standard[:, None] - standard[None]) ** 2).sum(axis=2)
        weights = np.exp(-apart / (2 * self.like**2)) + MIN_LIKENESS
        np.fill_diagonal(weights, 0.0)
        shares: Array = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        return shares

    def _facts(self, row: Row) -> list[float]:
        """What an architecture is recognised by."""
        levels = [row.whole.get(name, math.nan) for name in self.roles.levels if name not in self.left_out]
        return [*levels, math.log(row.outputs), float(row.channels > 1)]

    def describe_likes(self, scores: Array) -> tuple[Array, Array]:
        """Mean and deviation of the scores of the models that are like each one, itself left out."""
        mean = self.alike @ scores
        square = (self.alike * (scores[None] - mean[:, None]) ** 2).sum(axis=1)
        return mean, np.sqrt(square + MIN_DEVIATION**2)


def join_kinds(
    surprising: Mapping[str, Array], roles: Roles, measured: Container[str], classes: int, whole: float = 0.0
) -> Array:
    """Score of each class: the soft maximum over the kinds of trigger, and a share of what speaks of any kind.

    `surprising` holds nats by column, `(classes,)`, and `whole` those of the model; a kind counts by those of its
    columns that are `measured`, in this model or in others that it is compared with.
    """
    zero, by_kind = np.zeros(classes), []
    for names in roles.kinds.values():
        known = [name for name in names if name in measured]
        if known:
            by_kind.append(sum((surprising.get(name, zero) for name in known), zero) / math.sqrt(len(known)))
    common = sum((surprising.get(name, zero) for name in roles.any_kind), zero) + whole
    best: Array = SOFTNESS * np.logaddexp.reduce(np.stack(by_kind) / SOFTNESS, axis=0) if by_kind else zero
    joined: Array = best + COMMON_SHARE * common
    return joined


def neg_log_p(values: Array, clean: Array) -> Array:
    """−log of the empirical p-value of each value among `clean`, extrapolated beyond the largest of them, in nats.

    Without finite references, the values themselves where positive.
    """
    ordered = np.sort(clean[np.isfinite(clean)])
    count = len(ordered)
    if not count:
        return np.maximum(0.0, values)
    above = count - np.searchsorted(ordered, values, side="left")
    tail = ordered[-max(2, round(TAIL * count)) :]
    unit = max(float((tail - tail[0]).mean()), 1e-3)
    return -np.log((above + 1) / (count + 1)) + np.clip((values - ordered[-1]) / unit, 0.0, MAX_BEYOND)


def _typical(values: Sequence[float]) -> float:
    positive = [value for value in values if math.isfinite(value) and value > 0]
    return float(np.median(positive)) if positive else 1.0
