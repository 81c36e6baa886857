"""What else was tried for the p-value by the own classes, beside what is used, on kept statistics alone.

    python -m benchmarks.own_classes_tried

Alarms at p ≤ .05 on parts of the clean networks of `benchmarks.own_classes`, on clean models of 43 classes and on
simulated ones of which some classes are wild in all columns at once (Student's t of three degrees of freedom, its
divisor shared by the columns); and how many backdoored models of 43 classes are found.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy.optimize import least_squares

from benchmarks.own_classes import FEWEST, list_zoo, load_rows, measure_internal, split_classes
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import rate
from phosphene.scanner.own_classes import (
    MAX_BEYOND,
    RANK_SHIFT,
    compare_own_classes,
    count_tail,
    fit_shape,
    measure_gap,
    measure_surprise,
)
from phosphene.scanner.pool import Array, join_kinds
from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.registry import collect_roles

EASY = ("easy_noise", "row_norm")
SIMULATED, CLASSES = 60, 200
Surprise = Callable[[Array], Array]


def score(row: Row, surprise: Surprise = measure_surprise) -> Array:
    """As `compare_own_classes` does, with another surprise of a column."""
    roles = collect_roles()
    columns = {name: np.array(row.classes[name]) for name in sorted(roles.of_classes & row.classes.keys())}
    filled = {name: np.nan_to_num(values, nan=float(np.nanmedian(values))) for name, values in columns.items()}
    return join_kinds({name: surprise(values) for name, values in filled.items()}, roles, filled, row.outputs)


def sort_down(scores: Array) -> Array:
    return np.sort(scores)[::-1]


def use_gap(row: Row) -> float:
    found = compare_own_classes(row, fewest=FEWEST)
    return 1.0 if found is None else found.p_value


def use_pareto_too(row: Row) -> float:
    """The tail of the final score Pareto in distances from its median, where that makes the gap less surprising."""
    return math.exp(-_lesser_gap(score(row)))


def _lesser_gap(values: Array) -> float:
    """Of an exponential tail and a Pareto tail about the median, that which makes the gap less surprising."""
    ordered, tail = sort_down(values), count_tail(len(values))
    above = ordered[: tail + 1] - np.median(ordered)
    exponential = measure_gap(ordered, tail)
    return min(exponential, measure_gap(np.log(above), tail)) if above[tail] > 0 else exponential


def use_pareto_columns(row: Row) -> float:
    """The tail of each column exponential or Pareto about its median, whichever makes the gap less surprising."""
    ordered = sort_down(score(row, partial(_surprise_with, _lesser_gap)))
    return math.exp(-measure_gap(ordered, count_tail(row.outputs)))


def use_exponential_columns(row: Row) -> float:
    """The tail of each column exponential alone."""
    ordered = sort_down(score(row, partial(_surprise_with, _plain_gap)))
    return math.exp(-measure_gap(ordered, count_tail(row.outputs)))


def _plain_gap(values: Array) -> float:
    return measure_gap(sort_down(values), count_tail(len(values)))


def _surprise_with(gap: Callable[[Array], float], values: Array) -> Array:
    """The surprise of a column, the gap of its largest value measured otherwise."""
    surprise, (first, second) = measure_surprise(values).copy(), sort_down(values)[:2]
    if first > second:
        base = math.log(len(values) / (2 - RANK_SHIFT))
        surprise[int(np.argmax(values))] = base + min(MAX_BEYOND, gap(values))
    return surprise


def use_fisher(row: Row) -> float:
    """Fisher's test of the largest share of the excesses over the next score, in place of the gap."""
    ordered, tail = sort_down(score(row)), count_tail(row.outputs)
    excess = ordered[:tail] - ordered[tail]
    share, total = float(excess[0] / excess.sum()), 0.0
    for place in range(1, int(1 / share) + 1):
        rest = 1 - place * share
        total += (-1) ** (place - 1) * math.comb(tail, place) * max(0.0, rest) ** (tail - 1)
    return min(1.0, max(0.0, total))


def use_residuals(row: Row) -> float:
    """What the classes' natural easiness explains, taken out of each column by a robust regression over the classes."""
    known = [standardize(np.array(row.classes[name])) for name in EASY if name in row.classes]
    design = np.stack([np.ones(row.outputs), *(np.clip(one, -4, 4) for one in known)], axis=1)
    ordered = sort_down(score(row, lambda values: measure_surprise(_take_out(values, design))))
    return math.exp(-measure_gap(ordered, count_tail(row.outputs)))


def _take_out(values: Array, design: Array) -> Array:
    standard = standardize(values)
    fitted = least_squares(lambda slope: design @ slope - standard, np.zeros(design.shape[1]), loss="soft_l1")
    residual: Array = standard - design @ fitted.x
    return residual


def standardize(values: Array) -> Array:
    """By median and median absolute deviation; by the standard deviation where that is 0."""
    filled = np.nan_to_num(values, nan=float(np.nanmedian(values)))
    centred = filled - np.median(filled)
    spread = 1.4826 * float(np.median(np.abs(centred))) or float(filled.std()) or 1.0
    standard: Array = centred / spread
    return standard


def use_fit_alone(row: Row) -> float:
    """The fitted tail of each column as it comes out."""
    ordered = sort_down(score(row, partial(_surprise_with, _fitted_gap)))
    return math.exp(-measure_gap(ordered, count_tail(row.outputs)))


def _fitted_gap(values: Array) -> float:
    ordered, tail = sort_down(values), count_tail(len(values))
    above = ordered[: tail + 1] - ordered[tail]
    shape, mean = fit_shape(above[1:tail]), float(above[1:tail].mean())
    if shape == 0 or mean == 0:
        return measure_gap(ordered, tail)
    return measure_gap(np.log1p(above * shape / (mean * (1 - shape))) / shape, tail)


VARIANTS: Mapping[str, Callable[[Row], float]] = {
    "as it is": use_gap,
    "columns: the fitted tail as it comes out": use_fit_alone,
    "columns: exponential tails alone": use_exponential_columns,
    "columns: exponential or Pareto, the less surprising": use_pareto_columns,
    "score: a Pareto tail too": use_pareto_too,
    "score: Fisher's share in place of the gap": use_fisher,
    "natural easiness taken out": use_residuals,
    "internal: Grubbs on the sum": measure_internal,
}


def simulate(seed: int) -> Row:
    """Independent columns but for a divisor that makes some classes wild in all of them."""
    generator = np.random.default_rng(seed)
    wild = np.sqrt(3 / generator.chisquare(3, CLASSES))
    names = sorted(collect_roles().of_classes)
    classes = {name: tuple((generator.standard_normal(CLASSES) * wild).tolist()) for name in names}
    return Row(f"simulated {seed}", "", CLASSES, 64, 3, classes, {})


def count(rows: Sequence[Row], judge: Callable[[Row], float]) -> str:
    return str(rate(sum(judge(row) <= 0.05 for row in rows), len(rows)))


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    networks = load_rows(RESULTS / "own-classes")
    sets = {
        "parts of 50 classes": [part for row in networks for part in split_classes(row, 50, 0)],
        "parts of 200 classes": [part for row in networks for part in split_classes(row, 200, 0)],
        "clean, 43 classes": [row for row, target, clean in list_zoo() if clean],
        "simulated, 200 wild classes": [simulate(seed) for seed in range(SIMULATED)],
        "backdoored, 43 classes: found": [row for row, target, clean in list_zoo() if not clean],
    }
    lines = [
        {"variant": name} | {words: count(rows, judge) for words, rows in sets.items()}
        for name, judge in VARIANTS.items()
    ]
    print(markdown(lines))
    write_result("own-classes-tried", "python -m benchmarks.own_classes_tried", {}, lines)


if __name__ == "__main__":
    main()
