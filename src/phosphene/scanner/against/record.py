"""What the record of a scan says of its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from phosphene.core.constraints import Count, Probability

SourceName = Literal["model", "scan"]
MethodName = Literal["references", "tail", "none"]


@dataclass(frozen=True)
class Against:
    """The differences between a scanned model and its base, class by class.

    `source` says whether the base was measured now or read from a scan. `method` says what `p_value` rests on:
    differences of pairs of clean `models`, or the tail of the classes' own differences; with `none` there is no
    p-value, and `reasons` say why. `scores` are one a class, in the order of the outputs: in deviations of clean pairs
    with `references`, in nats with `tail`, else in deviations of the other classes. `differences[column]` are those of
    single statistics, in standard deviations. `p_alone` is the external p-value that the model has without the base,
    and `left_out` says which statistics are not compared, and why.
    """

    name: str
    fingerprint: str
    source: SourceName
    identical: bool
    method: MethodName
    p_value: Probability | None
    p_alone: Probability | None
    models: Count
    scores: tuple[float, ...]
    differences: Mapping[str, tuple[float, ...]]
    reasons: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
