"""From many statistics to one score a class and one a model.

Each statistic of a class becomes its distance from the other classes of the same model; a distance becomes the
surprise that a clean model would show one as large: −log of the share of clean models whose *largest* distance reaches
it. So every statistic speaks in the same unit, whatever its tails; a naturally extreme class surprises nobody, and a
model with many classes is not more suspicious for it.

A trigger is of one kind, and the statistics that ask for another kind have nothing to say about it. So the score of a
class is a soft maximum over the kinds of the surprise that each finds, all kinds alike, plus what shows whatever the
kind is. Nothing is learned from backdoored models, hence nothing of the attacks that happened to be at hand. The score
of a model is that of its best class, plus what surprises in the model as a whole, compared with models like it: some
architectures have wilder classes than others.

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

from phosphene.scanner.calibration import Reference, Row
from phosphene.scanner.pvalues import conformal, grubbs

Array = NDArray[np.float64]

LARGEST = 8.0  # distances shown and given to the internal test: beyond it a statistic has said what it can say
BEYOND = 6.0  # most that exceeding all clean models adds, in nats
TAIL = 0.2  # share of the clean models whose excess sets the unit of that

Kinds = Mapping[str, tuple[str, ...]]
# Which statistics of a class speak of which kind of trigger ...
KINDS: Kinds = {
    "patch": ("patch", "concentration", "stamp patch"),
    "polygon": ("patch", "stamp polygon"),
    "additive": ("additive", "stamp blend"),
    "wave": ("additive", "stamp wave"),
    "colour": ("colour", "stamp colour"),
    "warp": ("warp", "stamp warp"),
}
# ... which of any, and which of the model as a whole; the other statistics are shown, and count for nothing.
ANY = ("row_mean", "head", "margin")
WHOLE = ("permutation patch", "permutation additive", "permutation warp")
SOFT = 2.0  # nats: kinds whose surprises differ by less count together
SHARE = 0.3  # of what speaks of any kind, and of the model as a whole

LEVELS = ("level patch", "level additive", "level colour", "level warp")  # what an architecture is recognised by
LIKE = 1.0  # deviations of these levels within which models are alike
LEAST = 0.02  # weight of a model that is not alike at all
STEADY = 0.3  # nats added to the deviation of scores of models that are alike


@dataclass(frozen=True)
class Fused:
    """`outliers[statistic][class]` in spreads, `surprises` the same in nats, and the two p-values.

    Scores are deviations from those of clean models like this one: `scores` of the classes, `score` of the best.
    """

    outliers: Mapping[str, tuple[float, ...]]
    surprises: Mapping[str, tuple[float, ...]]
    scores: tuple[float, ...]
    whole: Mapping[str, float]
    score: float
    internal: float
    external: float


@dataclass(frozen=True)
class Pool:
    """Models that are compared with each other."""

    rows: tuple[Row, ...]
    like: float = LIKE

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

    def surprises(self, place: int, names: Sequence[str]) -> dict[str, Array]:
        """By statistic that the model at `place` has, one value a class in nats, against all others."""
        row = self.rows[place]
        return {name: surprise(self.distances(row, name), np.delete(self.largest[name], place))
                for name in names if name in row.centred and name in self.largest}  # fmt: skip

    def surprises_whole(self, place: int, names: Sequence[str]) -> dict[str, float]:
        own = self.rows[place].whole
        return {name: float(surprise(np.array([own[name]]), np.delete(self.whole[name], place))[0])
                for name in names if name in own}  # fmt: skip

    def scores(self, place: int, kinds: Kinds = KINDS) -> Array:
        """Of each class of the model at `place`, with what surprises in the model as a whole; in nats."""
        names = {name for several in kinds.values() for name in several} | set(ANY)
        found = {name: np.maximum(values, 0) for name, values in self.surprises(place, sorted(names)).items()}
        zero = np.zeros(self.rows[place].outputs)
        by_kind = [sum((found.get(name, zero) for name in several), zero) / math.sqrt(len(several))
                   for several in kinds.values()]  # fmt: skip
        best = SOFT * np.logaddexp.reduce(np.stack(by_kind) / SOFT, axis=0)
        whole = sum(max(0.0, value) for value in self.surprises_whole(place, WHOLE).values())
        return best + SHARE * (sum((found.get(name, zero) for name in ANY), zero) + whole)

    @cached_property
    def alike(self) -> Array:
        """How much each model, by row, counts each other one as its like; rows sum to 1, the diagonal is 0."""
        facts = np.array([[*(row.whole.get(name, math.nan) for name in LEVELS), math.log(row.outputs), row.channels > 1]
                          for row in self.rows])  # fmt: skip
        known = np.isfinite(facts).any(axis=0)
        facts = facts[:, known] - np.nanmean(facts[:, known], axis=0)
        spread = np.nanstd(facts, axis=0)
        standard = np.nan_to_num(facts / np.where(spread > 1e-9, spread, 1.0))
        apart = ((standard[:, None] - standard[None]) ** 2).sum(axis=2)
        weights = np.exp(-apart / (2 * self.like**2)) + LEAST
        np.fill_diagonal(weights, 0.0)
        return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)

    def usual(self, scores: Array) -> tuple[Array, Array]:
        """Mean and deviation of the scores of each model's likes, itself left out."""
        mean = self.alike @ scores
        square = (self.alike * (scores[None] - mean[:, None]) ** 2).sum(axis=1)
        return mean, np.sqrt(square + STEADY**2)


def fused(row: Row, reference: Reference, kinds: Kinds = KINDS, like: float = LIKE) -> Fused:
    """Judge one model among its references, in which it must not be itself."""
    pool, last = Pool((*reference.rows, row), like), len(reference.rows)
    scores = [pool.scores(place, kinds) for place in range(len(pool.rows))]
    mean, deviation = pool.usual(np.array([float(one.max()) for one in scores]))
    best = [(float(one.max()) - mean[place]) / deviation[place] for place, one in enumerate(scores)]
    names = [name for name in row.classes if name in row.centred]
    outliers = {name: np.clip(pool.distances(row, name), -LARGEST, LARGEST) for name in names}
    surprises = pool.surprises(last, names)
    telling = {name for several in kinds.values() for name in several} | set(ANY)
    together = np.sum([outliers[name] for name in sorted(telling & outliers.keys())], axis=0)
    return Fused(
        {name: tuple(values.tolist()) for name, values in outliers.items()},
        {name: tuple(values.tolist()) for name, values in surprises.items()},
        tuple(((scores[last] - mean[last]) / deviation[last]).tolist()),
        pool.surprises_whole(last, list(row.whole)),
        float(best[last]),
        grubbs(np.atleast_1d(together).tolist()),
        conformal(best[last], best[:last]),
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


def _typical(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value) and value > 0]
    return float(np.median(finite)) if finite else 1.0
