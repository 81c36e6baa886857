"""All that anyone must know of a statistic: what it measures and costs, which triggers it sees, how it is shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from phosphene.scanner.context import Context
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.settings import Settings

ANY = ("any",)  # as `kinds`: whatever the trigger's kind


@dataclass(frozen=True)
class Column:
    """One number a class, or one for the model as a whole; the bigger the more suspicious.

    `kinds` are the kinds of trigger that it speaks of, or `ANY`; a column of none is shown and counts for nothing.
    A `level` tells what the architecture is like, so that a model is compared with models like it. `family` is the
    family of searches that it belongs to: where a model's level of a family is unlike the references', all columns of
    the family are left out of the comparison. Of a `logarithm` differences are taken of what it is the logarithm of,
    where no references speak for them. `median_of` names the column of the classes that this one is the median of.
    """

    key: str
    label: str
    means: str
    kinds: tuple[str, ...] = ()
    whole: bool = False
    level: bool = False
    family: str = ""
    logarithm: bool = False
    median_of: str = ""


@dataclass(frozen=True)
class Measured:
    """Values by column key: `classes` hold `(K,)` tensors, nan where a class has none; `whole` one number.

    A column that does not apply to the model or the settings is left out, and `checks` say why where a user must know.
    `reached` counts the classes that were looked at, where not all were; `dead` are classes that no image is predicted
    as, of which no column keeps a value.
    """

    classes: Mapping[str, Tensor] = field(default_factory=dict)
    whole: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    reached: int | None = None
    dead: tuple[int, ...] = ()


class Stage(Protocol):
    """A part of a scan that a budget can plan."""

    @property
    def key(self) -> str:
        """Names the stage in the record of a scan."""

    @property
    def least(self) -> Mapping[str, int]:
        """Fields of `Settings` that a budget may lower for this stage, and the value below which it must not go."""

    def cost(self, settings: Settings, size: ModelSize) -> int:
        """About how many images go through the network, forward and back; 0 if hardly any. See `forward_cost`."""


class Statistic(Stage, Protocol):
    """One stage that every model goes through, and the columns that it fills."""

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of `Settings` that the columns depend on; the seed and the weights go without saying."""

    def measure(self, context: Context) -> Measured: ...


def take_median(values: Sequence[float]) -> float:
    """Of the finite values; nan where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else math.nan
