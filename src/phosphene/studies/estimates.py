"""Estimates with 95% intervals, as the studies write them; `phosphene.core.intervals` has the statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from phosphene.core import intervals


@dataclass(frozen=True)
class Estimate:
    """A mean, rate or area over `count` cases with its 95% interval; of no cases it is `nan` and written as a dash."""

    mean: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 4) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        if not self.count:
            return "–"
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-", "−")


NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)


def estimate_mean(values: Sequence[float], clusters: Sequence[object] | None = None, seed: int = 0) -> Estimate:
    """Mean with its bootstrap interval; cases of one cluster, such as one photograph's, are resampled together."""
    if not len(values):
        return NO_ESTIMATE
    return Estimate(float(np.mean(values)), *intervals.bootstrap_mean(values, clusters, seed), len(values))


def estimate_effect_size(
    differences: Sequence[float], clusters: Sequence[object] | None = None, seed: int = 0
) -> Estimate:
    """Cohen's d of paired differences; none where they are fewer than two or all equal."""
    if len(differences) < 2 or np.std(differences) == 0:
        return NO_ESTIMATE
    low, high = intervals.bootstrap_effect_size(differences, clusters, seed)
    return Estimate(intervals.effect_size(differences), low, high, len(differences))


def estimate_auc(positives: Sequence[float], negatives: Sequence[float]) -> Estimate:
    """Area under the ROC curve with Newcombe's interval; 0.5 is chance."""
    area = intervals.auc(positives, negatives)
    low, high = intervals.newcombe(area, len(positives), len(negatives))
    return Estimate(area, low, high, len(positives) + len(negatives))


def estimate_rate(hits: Sequence[bool]) -> Estimate:
    """The share of hits with its Wilson interval."""
    if not hits:
        return NO_ESTIMATE
    share = sum(hits) / len(hits)
    return Estimate(share, *intervals.wilson(share, len(hits)), len(hits))
