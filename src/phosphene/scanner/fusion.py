"""From many statistics to one score a class and one a model.

Each statistic of a class becomes its distance from the other classes of the same model; a distance becomes the
surprise that a clean model would show one as large: −log of the share of clean models whose *largest* distance reaches
it. So every statistic speaks in the same unit, whatever its tails; a naturally extreme class surprises nobody, and a
model with many classes is not more suspicious for it. The score of a class is the weighted sum of its surprises; that
of a model its best class, plus what surprises in the model as a whole.

The model and its references are one pool: each is scored against all others, so that without a backdoor no place in
the ranking is likelier than another, and the conformal p-value is valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from phosphene.scanner.calibration import Reference, Row, Weights
from phosphene.scanner.pvalues import conformal, grubbs

Array = NDArray[np.float64]

LARGEST = 8.0  # distances shown and given to the internal test: beyond it a statistic has said what it can say
BEYOND = 6.0  # most that exceeding all clean models adds, in nats
TAIL = 0.2  # share of the clean models whose excess sets the unit of that


@dataclass(frozen=True)
class Fused:
    """`outliers[statistic][class]` in spreads, `surprises` the same in nats, scores, and the two p-values."""

    outliers: Mapping[str, tuple[float, ...]]
    surprises: Mapping[str, tuple[float, ...]]
    scores: tuple[float, ...]
    whole: Mapping[str, float]
    score: float
    internal: float
    external: float


@dataclass(frozen=True)
class Pool:
    """Models that are compared with each other; `without` is the place of the one that is compared just now."""

    rows: tuple[Row, ...]

    @cached_property
    def spread(self) -> dict[str, float]:
        """Standard deviation of each statistic over the classes of a model, typical over the models."""
        names = {name for row in self.rows for name in row.classes}
        return {name: _typical([row.centred[name][1] for row in self.rows if name in row.centred]) for name in names}

    @cached_property
    def largest(self) -> dict[str, Array]:
        """The largest distance of each model by statistic, nan where it lacks it."""
        return {name: np.array([float(self.distances(row, name).max()) if name in row.centred else math.nan
                                for row in self.rows]) for name in self.spread}  # fmt: skip

    @cached_property
    def whole(self) -> dict[str, Array]:
        names = {name for row in self.rows for name in row.whole}
        return {name: np.array([row.whole.get(name, math.nan) for row in self.rows]) for name in names}

    def distances(self, row: Row, name: str) -> Array:
        """Of the classes from their median, in units between the model's own spread and the typical one."""
        values, own = row.centred[name]
        return values / math.sqrt((own**2 + self.spread[name] ** 2) / 2)

    def surprises(self, place: int, names: Sequence[str]) -> Array:
        """`(classes, statistics)` in nats for the model at `place`, against all others."""
        row = self.rows[place]
        zero = np.zeros(row.outputs)
        columns = [surprise(self.distances(row, name), np.delete(self.largest[name], place))
                   if name in row.centred and name in self.largest else zero for name in names]  # fmt: skip
        return np.stack(columns, axis=1) if columns else np.zeros((row.outputs, 0))

    def surprises_whole(self, place: int, names: Sequence[str]) -> Array:
        own = self.rows[place].whole
        found = [float(surprise(np.array([own[name]]), np.delete(self.whole[name], place))[0]) if name in own else 0.0
                 for name in names]  # fmt: skip
        return np.array(found)

    def scores(self, place: int, weights: Weights) -> tuple[Array, float]:
        """Of each class, and what the model adds as a whole."""
        classes = self.surprises(place, list(weights.classes)) @ np.array(list(weights.classes.values()))
        whole = self.surprises_whole(place, list(weights.whole)) @ np.array(list(weights.whole.values()))
        return classes, float(whole)


def fused(row: Row, reference: Reference) -> Fused:
    """Judge one model among its references, in which it must not be itself."""
    pool, last = Pool((*reference.rows, row)), len(reference.rows)
    classes, addition = pool.scores(last, reference.weights)
    names = [name for name in row.classes if name in row.centred]
    outliers = {name: np.clip(pool.distances(row, name), -LARGEST, LARGEST) for name in names}
    surprises = pool.surprises(last, names)
    whole = list(row.whole)
    others = [_total(pool.scores(place, reference.weights)) for place in range(last)]
    weighted = np.sum([reference.weights.classes.get(name, 0.0) * outliers[name] for name in names], axis=0)
    return Fused(
        {name: tuple(values.tolist()) for name, values in outliers.items()},
        {name: tuple(surprises[:, place].tolist()) for place, name in enumerate(names)},
        tuple(classes.tolist()),
        dict(zip(whole, pool.surprises_whole(last, whole).tolist(), strict=True)),
        _total((classes, addition)),
        grubbs(weighted.tolist()),
        conformal(_total((classes, addition)), others),
    )


def surprise(values: Array, clean: Array) -> Array:
    """−log of the share of `clean` (and the value itself) that reaches each value; beyond them all, by how far."""
    ordered = np.sort(clean[np.isfinite(clean)])
    count = len(ordered)
    if not count:
        return np.maximum(0.0, values)
    above = count - np.searchsorted(ordered, values, side="left")
    tail = ordered[-max(2, round(TAIL * count)) :]
    unit = max(float((tail - tail[0]).mean()), 1e-3)
    return -np.log((above + 1) / (count + 1)) + np.clip((values - ordered[-1]) / unit, 0.0, BEYOND)


def _total(scores: tuple[Array, float]) -> float:
    return float(scores[0].max()) + scores[1]


def _typical(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value) and value > 0]
    return float(np.median(finite)) if finite else 1.0
