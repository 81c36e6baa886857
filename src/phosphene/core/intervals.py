"""95% intervals of shares, means and areas, and the area under the ROC curve. scipy does the work where it can.

Functions take and give plain numbers; whoever shows an interval decides how. scipy is imported inside the functions,
because importing `scipy.stats` takes half a second that `phosphene --help` need not wait.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4000  # bootstrap resamples: the ends of an interval vary by about 1% of its width from seed to seed
EDGE = 1e-9


def wilson(share: float, count: int) -> Interval:
    """Wilson's interval of a share in [0,1] of `count` observations; it stays honest at 0 and 1.

    `scipy.stats.binomtest` gives the same for integer hits (tested). Here an observation may itself be a share, such
    as the top-1 rate of one map, so that `share * count` is no integer and only the formula is left.
    Source: E. B. Wilson, JASA 1927.
    """
    squared = _normal_quantile() ** 2
    shrink = 1 + squared / count
    center = (share + squared / (2 * count)) / shrink
    variance = share * (1 - share) / count + squared / (4 * count**2)
    reach = math.sqrt(squared * max(0.0, variance)) / shrink
    return max(0.0, center - reach), min(1.0, center + reach)


def student(values: Sequence[float] | Array) -> Interval | None:
    """Student's interval of the mean; None for a single value, of which nothing says how far it varies."""
    from scipy import stats

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return None
    mean, error = float(sample.mean()), float(stats.sem(sample))
    if error == 0:  # scipy gives nan
        return mean, mean
    low, high = stats.t.interval(CONFIDENCE, len(sample) - 1, loc=mean, scale=error)
    return float(low), float(high)


def welch(first: Sequence[float] | Array, second: Sequence[float] | Array, confidence: float = CONFIDENCE) -> Interval:
    """Welch's interval of the difference of two means, each of at least two values; their deviations may differ."""
    from scipy import stats

    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.std() == 0 and other.std() == 0:  # scipy gives nan
        return float(one.mean() - other.mean()), float(one.mean() - other.mean())
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def auc(positives: Sequence[float] | Array, negatives: Sequence[float] | Array) -> float:
    """Area under the ROC curve: the probability that a positive exceeds a negative, ties counting half.

    1 separates them without a mistake, 0.5 not at all.
    """
    from scipy import stats

    above = stats.mannwhitneyu(positives, negatives, method="asymptotic").statistic
    return float(above / (len(positives) * len(negatives)))


def newcombe(area: float, positives: int, negatives: int) -> Interval:
    """Interval of an area under the ROC curve that does not shrink to a point where the two kinds do not overlap.

    Source: R. G. Newcombe, Statistics in Medicine 2006, method 5.
    """
    from scipy.optimize import brentq

    def excess(theta: float) -> float:
        skew = (1 - theta) / (2 - theta) + theta / (1 + theta)
        spread = 1 + ((positives + negatives) / 2 - 1) * skew
        variance = theta * (1 - theta) * spread / (positives * negatives)
        return float((area - theta) ** 2 - _normal_quantile() ** 2 * variance)

    # Negative at the area, positive at 0 and at 1: one root on either side, unless the area is itself an end.
    inside = min(max(area, EDGE), 1 - EDGE)
    low = brentq(excess, 0.0, inside) if area > 0 else 0.0
    high = brentq(excess, inside, 1.0) if area < 1 else 1.0
    return float(low), float(high)


def bootstrap_mean(
    values: Sequence[float] | Array, clusters: Sequence[object] | None = None, seed: int = 0
) -> Interval:
    """Bootstrap interval of a mean. Values of one cluster, such as one photograph's, are resampled together, because
    they are not independent."""
    sums, counts, drawn = resample(np.asarray(values, dtype=np.float64), clusters, seed)
    return percentile_interval(sums / counts, drawn)


def effect_size(differences: Sequence[float] | Array) -> float:
    """Cohen's d of paired differences: their mean over their standard deviation; nan for a single one."""
    sample = np.asarray(differences, dtype=np.float64)
    return float(sample.mean() / max(sample.std(ddof=1), 1e-12)) if len(sample) > 1 else math.nan


def bootstrap_effect_size(
    differences: Sequence[float] | Array, clusters: Sequence[object] | None = None, seed: int = 0
) -> Interval:
    """Bootstrap interval of Cohen's d; resamples without any variation have no d and are left out."""
    sample = np.asarray(differences, dtype=np.float64)
    sums, counts, drawn = resample(sample, clusters, seed)
    squares, _, _ = resample(sample**2, clusters, seed)
    variance = (squares - sums**2 / counts) / np.maximum(counts - 1, 1)
    deviations = np.sqrt(np.where(variance > EDGE * sample.var(), variance, np.nan))
    return percentile_interval(sums / counts / deviations, drawn)


def resample(values: Array, clusters: Sequence[object] | None = None, seed: int = 0) -> tuple[Array, Array, int]:
    """Sums and counts of `RESAMPLES` bootstrap resamples of whole clusters, and the number of clusters."""
    labels = np.asarray(clusters if clusters is not None else range(len(values)))
    _, member = np.unique(labels, return_inverse=True)
    sums, counts = np.bincount(member, weights=values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    return sums[drawn].sum(axis=1), counts[drawn].sum(axis=1), len(sums)


def percentile_interval(resamples: Array, clusters: int) -> Interval:
    """The expanded percentile interval: with few clusters the usual percentiles are too narrow.

    Source: T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 2015.
    """
    from scipy import stats

    normal = _normal_quantile()
    expansion = math.sqrt(clusters / (clusters - 1)) if clusters > 1 else 1.0
    reach = stats.t.ppf(_upper(), clusters - 1) * expansion if clusters > 1 else normal
    low, high = np.nanpercentile(resamples, [100 * stats.norm.cdf(-reach), 100 * stats.norm.cdf(reach)])
    return float(low), float(high)


def _normal_quantile() -> float:
    from scipy.special import ndtri

    return float(ndtri(_upper()))


def _upper() -> float:
    return (1 + CONFIDENCE) / 2
