"""From many statistics to one score a class and one a model.

Each statistic of a class becomes its distance from the other classes of the same model, in units of its spread within
clean models: so a statistic that always varies much cannot shout down the others, and MAD = 0 cannot happen. The score
of a class is the weighted sum; of a model, the larger of its best class and of what it shows as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from phosphene.scanner.calibration import Reference, Row
from phosphene.scanner.pvalues import conformal, grubbs

LARGEST = 8.0  # deviations: beyond it a statistic has said what it can say


@dataclass(frozen=True)
class Fused:
    """Outliers `[statistic][class]`, scores by class, what the whole model adds, and the score of the model."""

    outliers: Mapping[str, tuple[float, ...]]
    scores: tuple[float, ...]
    whole: Mapping[str, float]
    score: float
    internal: float


def fused(row: Row, reference: Reference) -> Fused:
    outliers = {name: outlying(values, reference.spread.get(name, 1.0)) for name, values in row.classes.items()}
    weights = reference.weights.classes
    scores = tuple(
        math.fsum(weights.get(name, 0.0) * values[index] for name, values in outliers.items())
        for index in range(row.outputs)
    )
    whole = {name: (value - reference.level[name][0]) / reference.level[name][1]
             for name, value in row.whole.items() if name in reference.level}  # fmt: skip
    addition = math.fsum(
        reference.weights.whole.get(name, 0.0) * max(0.0, min(LARGEST, value)) for name, value in whole.items()
    )
    return Fused(outliers, scores, whole, max(scores) + addition, grubbs(scores))


def outlying(values: tuple[float, ...], spread: float) -> tuple[float, ...]:
    """Distances from the median class in units of `spread`, at most `LARGEST`; 0 where a value is not finite."""
    finite = [value for value in values if math.isfinite(value)]
    middle = float(np.median(finite)) if finite else 0.0
    return tuple(
        max(-LARGEST, min(LARGEST, (value - middle) / spread)) if math.isfinite(value) else 0.0 for value in values
    )


def external(score: float, reference: Reference) -> float:
    """Conformal p-value of a model's score among those of the references."""
    return conformal(score, [fused(row, reference).score for row in reference.rows])
