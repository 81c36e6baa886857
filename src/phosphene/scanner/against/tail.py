"""Is the largest of many values too large for the tail that the others have?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST = 20  # values below which there is no tail to fit
TAIL = 0.1  # share of the values that are the tail
SHORTEST, LONGEST = 10, 20  # values in it
LINEAR = 200.0  # divided by how many values there are: standard deviations up to which they count nearly as they are


def tail_p_value(values: NDArray[np.float64]) -> float:
    """p-value of the largest of K values `(K,)`, one-sided; 1 where fewer than `FEWEST` are finite.

    Distances z from the median, in standard deviations of all but the largest, become `c · log(1 + z/c)` with c = 200/K
    and at least 1. If the k largest of these are exponential beyond the next one, the largest excess has the share g of
    their sum with `P(g > x) ≤ k · (1 − x)^(k − 1)`, exact for x ≥ 1/2. Values with the tail of Student's t with 4
    degrees of freedom keep the level so, and lighter tails give larger p-values (`benchmarks/against.py` simulates
    both): the more values there are, the further out the largest lies, and the more of a tail has to be made straight.

    Sources: Fisher, Proc. R. Soc. A 1929 (the largest share of exponential values); Hill, Ann. Stat. 1975 (logarithms).
    """
    finite = np.sort(values[np.isfinite(values)])[::-1]
    if len(finite) < FEWEST:
        return 1.0
    spread = float(np.std(finite[1:], ddof=1))
    if spread <= 1e-12 * max(1.0, float(np.abs(finite).max())):  # all alike up to rounding: no tail to compare with
        return 1.0
    count = int(np.clip(round(TAIL * len(finite)), SHORTEST, LONGEST))
    scale = max(1.0, LINEAR / len(finite))
    distances = np.maximum(0.0, (finite[: count + 1] - np.median(finite)) / spread)
    logs = scale * np.log1p(distances / scale)
    excess = logs[:count] - logs[count]
    total = float(excess.sum())
    share = float(excess[0]) / total if total > 0 else 0.0
    return float(min(1.0, count * (1.0 - share) ** (count - 1)))
