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
MIN_DEVIATION = 0.3  # added to the deviation of models that are alike, in deviations of all
MAX_FACT = 3.0  # deviations: what is typical of a model counts up to here, so that nothing is foretold from afar
SHRINKAGE = 10.0  # of the foretold scores, in models: so many would say that nothing can be foretold
MIN_SPREAD = 1e-3  # of the classes of a column, so that it has a logarithm
FEWEST = 3  # models, of fewer nothing is foretold


@dataclass(frozen=True)
class Scale:
    """By model: what its best score is taken for, and the unit that what exceeds it is told in."""

    expected: Array
    unit: Array

    def apply(self, scores: Array, place: int | slice = slice(None)) -> Array:
        scaled: Array = (compress(scores) - self.expected[place]) / self.unit[place]
        return scaled


def compress(scores: Array) -> Array:
    """Scores in nats on the scale that they are foretold on, where the wildest model does not decide."""
    compressed: Array = np.log1p(np.maximum(scores, 0.0))
    return compressed


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
        standard = _standardize(np.array([self._facts(row) for row in self.rows]))
        apart = ((standard[:, None] - standard[None]) ** 2).sum(axis=2)
        weights = np.exp(-apart / (2 * self.like**2)) + MIN_LIKENESS
        np.fill_diagonal(weights, 0.0)
        shares: Array = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        return shares

    def _facts(self, row: Row) -> list[float]:
        """What an architecture is recognised by."""
        levels = [row.whole.get(name, math.nan) for name in self.roles.levels if name not in self.left_out]
        return [*levels, math.log(row.outputs), float(row.channels > 1)]

    def calibrate(self, best: Array) -> Scale:
        """From the best scores of all models, what each one's would be if it were as the others are.

        First the score that is foretold from what is typical of a model's classes, by a ridge regression over all other
        models: some architectures have wilder classes than others, and show it in their medians and spreads. What is
        left is compared with what is left of models that are like this one. No model counts for itself, and all are
        treated alike: without a backdoor every rank among them stays as likely as any other.
        """
        if len(best) < FEWEST:
            return Scale(np.zeros(len(best)), np.full(len(best), MIN_DEVIATION))
        scores = compress(best)
        foretold = self._foretell(scores)
        rest = scores - foretold
        unit = max(float(rest.std()), MIN_SPREAD)
        mean = self.alike @ rest
        square = (self.alike * (rest[None] - mean[:, None]) ** 2).sum(axis=1)
        return Scale(foretold + mean, np.sqrt(square + (MIN_DEVIATION * unit) ** 2))

    def _foretell(self, scores: Array) -> Array:
        """Of each model, by the regression over all others, in closed form."""
        facts = np.clip(_standardize(np.array([self._describe_classes(row) for row in self.rows])), -MAX_FACT, MAX_FACT)
        facts = np.column_stack([np.ones(len(facts)), facts])
        penalty = SHRINKAGE * np.eye(facts.shape[1])
        penalty[0, 0] = 0.0
        fitted = facts @ np.linalg.solve(facts.T @ facts + penalty, facts.T)
        own = np.diag(fitted)
        foretold: Array = (fitted @ scores - own * scores) / (1 - own)
        return foretold

    def _describe_classes(self, row: Row) -> list[float]:
        """What is typical of a model's classes: facts of the architecture, and median and spread of each column."""
        facts = self._facts(row)
        for name in sorted(self.spread):
            known = name in row.centred
            facts.append(_median_of_finite(row.classes[name]) if known else math.nan)
            facts.append(math.log(max(row.centred[name][1], MIN_SPREAD)) if known else math.nan)
        return facts


def _median_of_finite(values: Sequence[float]) -> float:
    return float(np.median([value for value in values if math.isfinite(value)]))


def _standardize(facts: Array) -> Array:
    """Each column in its deviations from its mean; what no model has is left out, what one lacks counts as the mean."""
    facts = facts[:, np.isfinite(facts).any(axis=0)]
    facts = facts - np.nanmean(facts, axis=0)
    spread = np.nanstd(facts, axis=0)
    standard: Array = np.nan_to_num(facts / np.where(spread > 1e-9, spread, 1.0))
    return standard


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
