"""What a caller may be told while maps are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from phosphene.runs.failures import Failure
from phosphene.runs.reference import MapReference


def noop(*arguments: object) -> None:
    """Default callback; does nothing."""


@dataclass(frozen=True)
class Callbacks:
    """Functions that a run calls; each may be left out."""

    on_start: Callable[[int, int], None] = noop  # maps to make, iterations of all maps together
    on_iterations: Callable[[int], None] = noop  # so many more iterations of a map are done
    on_finish: Callable[[MapReference], None] = noop
    on_warning: Callable[[str], None] = noop
    on_failure: Callable[[Failure], None] = noop  # a concept without a map; only where a run keeps going
