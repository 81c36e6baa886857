"""What a method says of a model, and how it says that it has nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from benchmarks.baselines.decisions import grubbs_log_p
from phosphene.model.classifier import Classifier

IMAGES = 500  # clean images for the methods that need some


class StepsAside(Exception):
    """The method does not apply to this model; the message says what it lacks."""


@dataclass(frozen=True)
class Opinion:
    """Bigger scores are more suspicious. `alarm` is the method's own published rule, None where it has none.

    `classes` is empty for a method that looks at the model as a whole; `mask` `(H, W)` is the suspected trigger's;
    `p_value` is stated by methods that claim one to be true.
    """

    score: float
    classes: tuple[float, ...] = ()
    alarm: bool | None = None
    mask: Tensor | None = None
    p_value: float | None = None

    @property
    def target(self) -> int | None:
        """The class that would be named if there were an alarm."""
        return int(np.argmax(self.classes)) if self.classes else None


class Baseline(Protocol):
    """`images` are clean ones of the model's domain; methods that are data-free do not look at them."""

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion: ...


def outlier(statistic: Sequence[float] | Tensor) -> Opinion:
    """For statistics published without a rule: how far the largest stands out, as −log p of Grubbs' test."""
    values = np.asarray(statistic, dtype=np.float64)
    return Opinion(score=-float(grubbs_log_p(values)), classes=tuple(values.tolist()))
