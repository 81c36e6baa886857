"""How much evidence is asked for, and the callbacks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from phosphene.errors import BadInput
from phosphene.runs.callbacks import Callbacks, noop


@dataclass(frozen=True)
class Settings:
    """`samples` draws a score; the first `sanity` maps are made again by randomised models, and every map from `seeds`
    other seeds."""

    samples: int = 8
    sanity: int = 0
    seeds: int = 0

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("sanity", 0), ("seeds", 0)):
            if getattr(self, name) < least:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least {least}")


@dataclass(frozen=True)
class EvaluationCallbacks(Callbacks):
    """Functions that an evaluation calls; those of `Callbacks` tell of maps that are made again."""

    on_measure: Callable[[str, int, int], None] = noop  # concept that is measured next, its index, number of maps


DEFAULT_SETTINGS = Settings()
NO_CALLBACKS = EvaluationCallbacks()
