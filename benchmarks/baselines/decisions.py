"""Rules that turn one statistic a class into a decision about the model, as published; each on the last axis.

They take arrays of any number of models, so that `benchmarks.rules` can simulate how often each cries wolf.

Sources: Wang et al., "Neural Cleanse", S&P 2019; Fu et al., "FreeEagle", USENIX Security 2023; Wang et al., "MM-BD",
S&P 2024; Grubbs, Technometrics 1969.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

CONSISTENT = 1.4826  # MAD of a normal distribution → its standard deviation
SMALLEST = 1e-12  # in place of a spread of 0


def mad_index(norms: Array) -> Array:
    """Neural Cleanse: how many deviations the smallest value lies below the median; the rule is > 2."""
    middle = np.median(norms, axis=-1, keepdims=True)
    spread = CONSISTENT * np.median(np.abs(norms - middle), axis=-1)
    return (middle[..., 0] - norms.min(axis=-1)) / np.maximum(spread, SMALLEST)


def quartile_index(tendencies: Array) -> Array:
    """FreeEagle: `(max − Q3) / (Q3 − Q1)`; the rule is > 2."""
    lower, upper = np.quantile(tendencies, [0.25, 0.75], axis=-1)
    return (tendencies.max(axis=-1) - upper) / np.maximum(upper - lower, SMALLEST)


def gamma_log_p(margins: Array) -> Array:
    """MM-BD: log of `1 − H(r_max)^(K−1)`, H the gamma distribution of all but the largest; the rule is p ≤ .05.

    The gamma is fitted by maximum likelihood and starts at 0, so margins below 0 count as barely positive.
    """
    ordered = np.sort(np.maximum(margins, 1e-6), axis=-1)
    others, largest = ordered[..., :-1], ordered[..., -1]
    shape, scale = fitted_gamma(others)
    beyond = stats.gamma.sf(largest, shape, scale=scale)
    count = others.shape[-1]
    exact = np.log(np.maximum(-np.expm1(count * np.log1p(-np.minimum(beyond, 1 - 1e-16))), 1e-300))
    far = np.log(count) + _log_tail(largest / scale, shape)
    return np.where(beyond > 1e-10, exact, far)


def _log_tail(x: Array, shape: Array) -> Array:
    """Leading term of log P(Gamma(shape) > x) for large x: where the exact value is 0 in floating point."""
    return (shape - 1) * np.log(x) - x - special.gammaln(shape)


def fitted_gamma(values: Array) -> tuple[Array, Array]:
    """Shape and scale of the most likely gamma distribution; Newton's method on the shape."""
    mean = values.mean(axis=-1)
    gap = np.maximum(np.log(mean) - np.log(values).mean(axis=-1), 1e-9)
    shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(8):
        slope = 1 / shape - special.polygamma(1, shape)
        shape = np.maximum(shape - (np.log(shape) - special.digamma(shape) - gap) / slope, 1e-6)
    return shape, mean / shape


def grubbs_log_p(statistic: Array) -> Array:
    """One-sided Grubbs: log of `K · P(T_{K−2} > t)`; exact where the statistic is normal over classes.

    A bound on a probability, so it may exceed 0; it is left there, for a score should not have ties.
    """
    count = statistic.shape[-1]
    spread = np.maximum(statistic.std(axis=-1, ddof=1), SMALLEST)
    square = ((statistic.max(axis=-1) - statistic.mean(axis=-1)) / spread) ** 2
    room = np.maximum((count - 1) ** 2 - count * square, 1e-9 * count**2)
    t = np.sqrt(count * (count - 2) * square / room)
    return np.log(count) + stats.t.logsf(t, count - 2)
