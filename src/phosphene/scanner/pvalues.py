"""p-values for one maximum, and what they come to together.

- internal: the classes of this model against each other. One-sided Grubbs test of the largest of K values; exact where
  the statistic is normal over the classes, with K in the formula, so that 1000 classes accuse no sooner than ten.
- external: this model against clean models. Conformal: `(1 + #{reference ≥ score}) / (n + 1)`; exactly valid where the
  model is exchangeable with the references, whatever the distribution, and never smaller than `1 / (n + 1)`.
- own: the classes of a model that no references speak for, with tails that may be heavy (`own_classes`).

Sources: Grubbs, Technometrics 1969; Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BASE_SHARE = 0.9  # of the allowed false alarms, for differences from a base; the rest is for the own classes
EXTERNAL_SHARE = 0.995  # of the allowed false alarms: the external test assumes nothing about the shape of the null


def grubbs(values: Sequence[float]) -> float:
    """p-value of the largest value being an outlier among normal ones; 1 where there is nothing to compare.

    With `G = (max − mean) / s` it is `K · P(T_{K−2} > t)`, `t² = K(K−2)G² / ((K−1)² − K·G²)`.
    """
    from scipy.stats import t as student

    count = len(values)
    if count < 3 or not all(map(math.isfinite, values)):
        return 1.0
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    if variance <= 1e-24 * max(1.0, mean * mean):  # all the same up to rounding: nothing stands out
        return 1.0
    square = (max(values) - mean) ** 2 / variance
    room = (count - 1) ** 2 - count * square
    if room <= 1e-9 * count**2:  # all others exactly equal: the largest G that K values can have
        return 0.0
    return min(1.0, count * float(student.sf(math.sqrt(count * (count - 2) * square / room), count - 2)))


def conformal(score: float, reference: Sequence[float]) -> float:
    """Rank of a score among those of clean models; ties count against it."""
    at_least = sum(bool(other >= score) for other in reference)
    return (1 + at_least) / (len(reference) + 1)


def combine(internal: float, external: float | None, own: float | None = None) -> float:
    """One p-value from both: weighted Bonferroni, valid however they depend on each other.

    Without the external one, that by the own classes alone: the internal one asks the same, and assumes more. Without
    that too, the internal one.
    """
    if external is None:
        return internal if own is None else own
    return min(1.0, external / EXTERNAL_SHARE, internal / (1 - EXTERNAL_SHARE))


def combine_with_base(differences: float, internal: float, own: float | None) -> float:
    """One p-value of differences that no references speak for and of the model alone: weighted Bonferroni.

    Most weight is on the differences, for what is a class's nature is in the base, too.
    """
    if own is None:
        return combine(internal, differences)
    return min(1.0, differences / BASE_SHARE, own / (1 - BASE_SHARE))


def accuses(differences: float, level: float, *, own: bool) -> bool:
    """Is the joint p-value at or below the level by the differences, whatever the model alone shows?"""
    return differences / (BASE_SHARE if own else EXTERNAL_SHARE) <= level
