"""How deep a scan goes, and the clock that a budget is kept by."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from phosphene.classifier import Classifier
from phosphene.errors import BadInput
from phosphene.scanner.record import Stage

SAFETY = 0.7  # share of a budget that is planned for: machines are not as quick all the time as they were just now
FEWEST = 4  # iterations below which a search is no search


@dataclass(frozen=True)
class Settings:
    """Iterations and images of every stage. A class's numbers depend on these, the seed and the weights alone."""

    seed: int = 0
    surrogates: int = 4  # images a class
    surrogate_iterations: int = 30
    images: int = 8  # backgrounds that a candidate meets in one iteration
    short: Mapping[str, int] = field(default_factory=lambda: {"patch": 60, "additive": 40, "colour": 30, "warp": 30})
    pair_images: int = 2
    pair_iterations: int = 25
    pair_classes: int = 12  # with more classes, pairs of the most suspicious ones alone
    top: int = 2  # classes that get long maps
    controls: int = 2  # random other classes that get them too
    long: int = 80
    restarts: int = 3

    def __post_init__(self) -> None:
        if min(self.surrogates, self.images, self.pair_images, self.restarts, self.top) < 1 or self.controls < 0:
            raise BadInput(f"settings of a scan must be positive: {asdict(self)}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def scaled(self, share: float) -> Settings:
        """About `share` of the passes: first fewer images a candidate, then fewer iterations."""
        if share >= 1:
            return self
        images = max(1, round(self.images * share**0.5))
        rest = share * self.images / images

        def fewer(count: int) -> int:
            return max(FEWEST, round(count * min(1.0, rest)))

        return replace(
            self, images=images, short={name: fewer(count) for name, count in self.short.items()},
            surrogate_iterations=max(8, fewer(self.surrogate_iterations)), pair_iterations=fewer(self.pair_iterations),
            long=fewer(self.long),
        )  # fmt: skip


QUICK = Settings(surrogates=2, surrogate_iterations=20, images=5, short={"patch": 30, "additive": 20},
                 pair_iterations=0, top=1, controls=1, long=30, restarts=2)  # fmt: skip


class Clock:
    """Counts seconds and images through the network, stage by stage."""

    def __init__(self, classifier: Classifier, budget: float | None) -> None:
        self.started, self.budget, self.passes = time.monotonic(), budget, 0
        self.stages: list[Stage] = []
        classifier.module.register_forward_pre_hook(self._count)  # the scan's own folded copy, so it need not go

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        return float("inf") if self.budget is None else self.budget - self.seconds

    @contextmanager
    def stage(self, name: str, classes: int) -> Iterator[None]:
        seconds, passes = self.seconds, self.passes
        yield
        self.stages.append(Stage(name, classes, round(self.seconds - seconds, 2), self.passes - passes))

    def _count(self, module: object, inputs: tuple[Any, ...]) -> None:
        self.passes += len(inputs[0])
