"""How often do published decision rules accuse a model without a backdoor? Simulated, so nothing else is to blame.

    python -m benchmarks.rules

Every class of a clean model draws its statistic independently from one distribution, and no class stands out. A rule
with a true p-value accuses 5% of such models. The range is over the distributions; those of MM-BD must be positive.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.decisions import gamma_log_p, grubbs_log_p, mad_index, quartile_index
from benchmarks.record import markdown, write_result

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]

CLASSES = (5, 10, 43, 100, 1000)
LEVEL = math.log(0.05)
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda random, shape: 10 + random.normal(size=shape),
    "lognormal": lambda random, shape: random.lognormal(sigma=0.5, size=shape),
    "gamma": lambda random, shape: random.gamma(4.0, size=shape),
    "exponential": lambda random, shape: random.exponential(size=shape),
}
HEAVY: Draw = lambda random, shape: np.exp(0.5 * random.standard_t(4, size=shape))  # noqa: E731 - a row of a table


def accused_by_grubbs(values: Array) -> Array:
    return grubbs_log_p(np.log(np.maximum(values, 1e-12))) <= LEVEL


RULES: dict[str, Callable[[Array], Array]] = {
    "Neural Cleanse, MAD index > 2": lambda values: mad_index(values) > 2,
    "FreeEagle, (max − Q3)/IQR > 2": lambda values: quartile_index(values) > 2,
    "MM-BD, gamma fit, p ≤ .05": lambda values: gamma_log_p(values) <= LEVEL,
    "one-sided Grubbs on logarithms, p ≤ .05": accused_by_grubbs,
}


def accused(rule: Callable[[Array], Array], draw: Draw, classes: int, models: int, seed: int) -> float:
    """The share of simulated clean models that a rule accuses."""
    random = np.random.default_rng(seed)
    return float(np.mean(rule(draw(random, (models, classes)))))


def row(name: str, rule: Callable[[Array], Array], draws: dict[str, Draw], models: int) -> dict[str, str]:
    """One row of the table: the least and the largest share over the distributions, for each number of classes."""
    cells = {"rule": name}
    for classes in CLASSES:
        shares = [accused(rule, draw, classes, models, zlib.crc32(f"{other}/{classes}".encode()))
                  for other, draw in draws.items()]  # fmt: skip
        low, high = f"{min(shares):.3f}", f"{max(shares):.3f}"
        cells[f"K = {classes}"] = low if low == high else f"{low}–{high}"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4000, help="simulated clean models a cell")
    options = parser.parse_args(arguments)
    table = partial(row, models=options.models)
    rows = [table(name, rule, DISTRIBUTIONS) for name, rule in RULES.items()]
    grubbs = "one-sided Grubbs on logarithms, p ≤ .05"
    rows.append(table(f"{grubbs}; lognormal alone", RULES[grubbs], {"lognormal": DISTRIBUTIONS["lognormal"]}))
    rows.append(table(f"{grubbs}; heavy tails (logarithm t₄)", RULES[grubbs], {"heavy": HEAVY}))
    print(markdown(rows))
    settings = {"models": options.models, "distributions": list(DISTRIBUTIONS)}
    print(write_result("rules", "python -m benchmarks.rules", settings, rows))


if __name__ == "__main__":
    main()
