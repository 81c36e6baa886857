"""How well scores tell poisoned models from clean ones, and how sure that is.

Intervals of areas and of their differences are percentiles of a bootstrap over models, clean and poisoned ones drawn
apart, the same draws for both methods of a pair. Intervals of rates are exact (Clopper & Pearson, Biometrika 1934).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

RESAMPLES = 4000
TOLERATED = 0.05  # share of clean models that may be accused where a true positive rate is stated


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wins(clean: Sequence[float], poisoned: Sequence[float]) -> Array:
    """`(poisoned, clean)`: 1 where the poisoned model has the larger score, ½ where they are equal."""
    up, down = np.asarray(poisoned, dtype=np.float64)[:, None], np.asarray(clean, dtype=np.float64)[None, :]
    return (up > down) + 0.5 * (up == down)


def area(clean: Sequence[float], poisoned: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a poisoned model scores above a clean one."""
    return float(wins(clean, poisoned).mean())


def area_interval(clean: Sequence[float], poisoned: Sequence[float], seed: int = 0) -> Estimate:
    beaten = wins(clean, poisoned)
    return _estimate(float(beaten.mean()), _resampled(beaten, seed))


def advantage(ours: tuple[Sequence[float], Sequence[float]], theirs: tuple[Sequence[float], Sequence[float]],
              seed: int = 0) -> Estimate:  # fmt: skip
    """Our area minus theirs; each pair is `(clean, poisoned)` scores of the same models in the same order."""
    difference = wins(*ours) - wins(*theirs)
    return _estimate(float(difference.mean()), _resampled(difference, seed))


def _resampled(table: Array, seed: int) -> Array:
    """Means of the table over rows and columns drawn with replacement."""
    random = np.random.default_rng(seed)
    rows, columns = (random.multinomial(size, np.full(size, 1 / size), RESAMPLES) / size for size in table.shape)
    return np.einsum("rp,pc,rc->r", rows, table, columns, optimize=True)


def _estimate(value: float, resampled: Array) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def sensitivity(clean: Sequence[float], poisoned: Sequence[float], tolerated: float = TOLERATED) -> float:
    """Share of poisoned models above the lowest threshold that accuses at most `tolerated` of the clean ones."""
    ordered = sorted(clean, reverse=True)
    threshold = ordered[int(tolerated * len(ordered) + 1e-9)]
    return float(np.mean(np.asarray(poisoned) > threshold))


def rate(hits: int, count: int) -> Estimate:
    """A share with its exact binomial interval."""
    low = float(stats.beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return Estimate(hits / count, low, high)


def kolmogorov(p_values: Sequence[float]) -> str:
    """Largest distance from uniform, and the distance that chance exceeds in 5% of samples of this size."""
    found = stats.kstest(p_values, "uniform").statistic
    return f"{found:.3f} (chance: {chance_distance(len(p_values)):.3f})"


def chance_distance(count: int) -> float:
    return float(stats.kstwo.ppf(0.95, count))


def conformal(score: float, references: Sequence[float]) -> float:
    """p-value of a score among those of clean models: `(1 + #{reference ≥ score}) / (n + 1)`."""
    return float(1 + np.sum(np.asarray(references) >= score)) / (len(references) + 1)


def overlap(found: Array, true: Array) -> float:
    """Intersection over union of two masks of 0 and 1; the found one is cut at half of its largest value."""
    inside, wanted = found > 0.5 * found.max(initial=0.0), true > 0.5
    union = np.logical_or(inside, wanted).sum()
    return float(np.logical_and(inside, wanted).sum() / union) if union else 0.0
