"""Is the largest of many values too large for the tail that the others have?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST = 20  # values below which there is no tail to fit
TAIL = 0.1  # share of the values that are the tail
SHORTEST, LONGEST = 10, 20  # values in it


def tail_p_value(values: NDArray[np.float64]) -> float:
    """p-value of the largest of K values `(K,)`, one-sided; 1 where fewer than `FEWEST` are finite.

    The k largest values are taken as logarithms of 1 + their distance from the median, in standard deviations of all
    but the largest. If these are exponential beyond the next value, the largest excess has the share g of their sum
    with `P(g > x) ≤ k · (1 − x)^(k − 1)`, which is exact for x ≥ 1/2. A power law has such logarithms, and lighter
    tails, the normal one among them, give larger p-values. How many values there are is in the formula: of k
    exceedances of K.

    Sources: Fisher, Proc. R. Soc. A 1929 (the largest share of exponential values); Hill, Ann. Stat. 1975 (logarithms).
    """
    finite = np.sort(values[np.isfinite(values)])[::-1]
    if len(finite) < FEWEST:
        return 1.0
    spread = float(np.std(finite[1:], ddof=1))
    if spread <= 1e-12 * max(1.0, float(np.abs(finite).max())):  # all alike up to rounding: no tail to compare with
        return 1.0
    count = int(np.clip(round(TAIL * len(finite)), SHORTEST, LONGEST))
    logs = np.log1p(np.maximum(0.0, (finite[: count + 1] - np.median(finite)) / spread))
    excess = logs[:count] - logs[count]
    total = float(excess.sum())
    share = float(excess[0]) / total if total > 0 else 0.0
    return float(min(1.0, count * (1.0 - share) ** (count - 1)))
