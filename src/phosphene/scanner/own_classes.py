"""The classes of one model as each other's controls: a p-value where no clean models are there to compare with.

Each column becomes −log of the share of the model's own classes that are as extreme. Only the class on top is placed
beyond the others: by its gap to the second, measured by the gaps below it, on the scale on which a generalised Pareto
tail fitted to those below is exponential. So every column has an exponential tail, whatever its own, and a column in
which some classes are naturally extreme counts for little. The columns are joined as they are with references
(`pool`): a class's score is a soft maximum over the kinds of trigger.

All classes are scored alike, so without a backdoor the largest score is what the largest of many exponential ones is.
Its gap to the second, in units of the gaps below, has a known distribution, which is the p-value. The number of classes
is in it, for the more there are, the higher lies the second; so is the number of kinds, for the largest is one over
classes and kinds.

What it assumes: scores of a clean model's classes have a tail that is exponential or lighter, and at most one class is
a target: two hide each other. `benchmarks/own_classes.py` measures what the p-value is worth on clean models.

Source: the gaps of exponential order statistics, times their ranks, are independent and alike: Rényi, "On the theory of
order statistics", Acta Mathematica Hungarica 1953; the fit: Hosking & Wallis, Technometrics 1987.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phosphene.scanner.pool import Array, join_kinds
from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.registry import Roles, collect_roles

MIN_CLASSES = 50  # of fewer, the gaps below the largest are too few to tell how far it should lie
TAIL_SHARE, MIN_TAIL, MAX_TAIL = 0.15, 8, 60  # classes whose gaps set the unit
MAX_BEYOND = 12.0  # most that exceeding all other classes adds to a column, in nats
MAX_SHAPE = 0.9  # of a tail; of 1 or more it has no mean
SHAPE_MARGIN = 0.5  # standard errors added to it: fitted without the largest value, it comes out too light
RANK_SHIFT = 0.44  # the median of the r-th of n uniform values is about (r − 0.44) / n (Gringorten 1963)
ASSUMES = (
    "the scores of a clean model's classes have an exponential tail or a lighter one, and at most one class is a target"
)


@dataclass(frozen=True)
class Controls:
    """`classes` were compared, and `tail` of them set the unit.

    `scores` of all classes, and by column their `surprise`, are in nats, 0 of classes that have no values.
    """

    p_value: float
    classes: int
    tail: int
    scores: tuple[float, ...]
    surprise: Mapping[str, tuple[float, ...]]


def compare_own_classes(row: Row, roles: Roles | None = None, fewest: int = MIN_CLASSES) -> Controls | None:
    """The classes of a model judged by each other; None where fewer than `fewest` have values."""
    roles = collect_roles() if roles is None else roles
    columns = {name: np.array(row.classes[name]) for name in sorted(roles.of_classes & row.classes.keys())}
    living = np.zeros(row.outputs, dtype=np.bool_)
    for values in columns.values():
        living |= np.isfinite(values)
    count = int(living.sum())
    if count < fewest:
        return None
    surprise = {name: measure_surprise(_fill(values[living])) for name, values in columns.items()}
    scores, tail = join_kinds(surprise, roles, columns, count), count_tail(count)
    p_value = math.exp(-measure_gap(np.sort(scores)[::-1], tail))
    shown = {name: _spread_out(values, living) for name, values in surprise.items()}
    return Controls(p_value, count, tail, _spread_out(scores, living), shown)


def count_tail(classes: int) -> int:
    """How many classes below the largest set the unit."""
    return max(MIN_TAIL, min(MAX_TAIL, round(TAIL_SHARE * classes)))


def measure_surprise(values: Array) -> Array:
    """−log of the share of classes that are as extreme as each one, in nats; of the largest alone, also its gap.

    Equal values share the rank of the last of them, so that a column in which many classes are equal says nothing.
    """
    count = len(values)
    at_least = count - np.searchsorted(np.sort(values), values, side="left")
    surprise: Array = np.log(count / (at_least - RANK_SHIFT))
    top = int(np.argmax(values))
    if at_least[top] == 1:
        surprise[top] = math.log(count / (2 - RANK_SHIFT)) + min(MAX_BEYOND, _measure_gap_of_any_tail(values))
    return surprise


def measure_gap(descending: Array, tail: int) -> float:
    """−log p of the gap between the first and the second of values in descending order, were their tail exponential.

    Of `tail` values above the next, the gaps times their ranks are independent and exponential; so the first one's
    share of their sum exceeds b with probability `(1 − b)^(tail − 1)`. 0 where all below the first are equal.
    """
    total = float((descending[:tail] - descending[tail]).sum())
    rest = total - float(descending[0] - descending[1])
    if rest <= 1e-9 * max(1.0, total, float(abs(descending[0]))):
        return 0.0
    return (tail - 1) * math.log(total / rest)


def fit_shape(excesses: Array) -> float:
    """Shape of a generalised Pareto tail by probability-weighted moments, of at least two values above its threshold.

    0 where the tail is exponential or lighter, and at most `MAX_SHAPE`.
    """
    ascending, count = np.sort(excesses), len(excesses)
    mean, weighted = float(ascending.mean()), float((ascending * np.arange(count - 1, -1, -1)).mean() / (count - 1))
    lightness = mean - 2 * weighted  # half of Gini's mean difference
    return min(MAX_SHAPE, max(0.0, 2 - mean / lightness)) if lightness > 1e-9 * mean else 0.0


def _measure_gap_of_any_tail(values: Array) -> float:
    """The gap, on the scale on which the tail below the largest is exponential; 0 where that tail has no length."""
    descending, tail = np.sort(values)[::-1], count_tail(len(values))
    above = descending[: tail + 1] - descending[tail]
    shape = min(MAX_SHAPE, fit_shape(above[1:tail]) + SHAPE_MARGIN / math.sqrt(tail))
    mean = float(above[1:tail].mean())
    if mean == 0:
        return 0.0
    return measure_gap(np.log1p(above * shape / (mean * (1 - shape))) / shape, tail)


def _spread_out(values: Array, living: NDArray[np.bool_]) -> tuple[float, ...]:
    """Those of the living classes at their places, 0 at the others'."""
    everywhere = np.zeros(len(living))
    everywhere[living] = values
    return tuple(everywhere.tolist())


def _fill(values: Array) -> Array:
    """The median in place of values that are not finite; 0 where none is."""
    finite = np.isfinite(values)
    return np.where(finite, values, np.median(values[finite]) if finite.any() else 0.0)
