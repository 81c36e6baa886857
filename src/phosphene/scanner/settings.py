"""How deep a scan goes, and the clock that a budget is kept by."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from phosphene.classifier import Classifier
from phosphene.errors import BadInput
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.record import Stage
from phosphene.scanner.search import smallest

SAFETY = 0.85  # share of a budget that is planned for: machines are not as quick all the time as they were just now
FEWEST = 3  # iterations below which a search is no search ...
SHORTEST = {"colour": 2, "warp": 2}  # ... of few parameters, which get there sooner
ROWS = 4_000_000  # pixels of images in one forward and backward
SOURCES = 48  # classes that serve as backgrounds where there are many
STAMPED = 6 * 40 // 3  # six kinds of stamps on some forty images, which go forward alone: a third of the work
LATER = (
    "seed",
    "top",
    "controls",
    "long",
    "restarts",
    "window_images",
    "window_iterations",
)  # what does not enter a model's row


@dataclass(frozen=True)
class Settings:
    """Iterations and images of every stage. A class's numbers depend on these, the seed and the weights alone."""

    seed: int = 0
    surrogates: int = 4  # images a class
    surrogate_iterations: int = 30
    stamps: int = 96  # random ones of each kind
    images: int = 8  # backgrounds that a candidate meets in one iteration ...
    images_many: int = 2  # ... where there are more than `pair_classes`, which see more backgrounds over time
    short: Mapping[str, int] = field(default_factory=lambda: {"patch": 100, "additive": 60, "colour": 30, "warp": 30})
    margin_starts: int = 4
    margin_iterations: int = 60
    permutation_iterations: int = 60
    permutation_starts: int = 3
    pair_images: int = 2
    pair_iterations: int = 40
    pair_classes: int = 12  # with more classes, pairs of the most suspicious ones alone
    top: int = 2  # classes that get long maps
    controls: int = 2  # random other classes that get them too
    long: int = 80
    restarts: int = 3
    window_images: int = 8
    window_iterations: int = 12

    def __post_init__(self) -> None:
        if min(self.surrogates, self.images, self.pair_images, self.restarts, self.top) < 1 or self.controls < 0:
            raise BadInput(f"settings of a scan must be positive: {asdict(self)}")

    def images_of(self, classes: int) -> int:
        return self.images if classes <= self.pair_classes else min(self.images, self.images_many)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def of_rows(self) -> dict[str, Any]:
        """What decides the statistics of every class: all but the seed and what only the suspects get."""
        return {name: value for name, value in asdict(self).items() if name not in LATER}

    def passes(self, classes: int) -> int:
        """About how many images go through the network, forward and back, for a model of so many classes."""
        held = min(classes, SOURCES)
        pairs = classes * (classes - 1) * self.pair_images if classes <= self.pair_classes else 0
        suspects = min(classes, self.top + self.controls) + self.restarts - 1
        return (held * self.surrogates * self.surrogate_iterations + STAMPED * self.stamps
                + pairs * self.pair_iterations
                + 3 * self.permutation_starts * min(held, 24) * self.permutation_iterations
                + 900 * self.window_iterations  # some 130 windows with 4 images, then some 80 more with all
                + classes * self.margin_starts * self.margin_iterations
                + self.images_of(classes) * (classes * sum(self.short.values()) + suspects * self.long))  # fmt: skip

    def scaled(self, share: float, classes: int) -> Settings:
        """About `share` of the passes: first fewer images a candidate, then fewer iterations."""
        if share >= 1:
            return self
        base = self.images_of(classes)
        images = max(1, round(base * share**0.5))
        rest = share * base / images

        def fewer(count: int, least: int = FEWEST) -> int:
            return max(least, round(count * min(1.0, rest)))

        return replace(
            self, images=images, images_many=images, surrogates=fewer(self.surrogates, 2),
            short={name: fewer(count, SHORTEST.get(name, FEWEST)) for name, count in self.short.items()},
            stamps=fewer(self.stamps, 8), surrogate_iterations=fewer(self.surrogate_iterations, 8),
            pair_iterations=fewer(self.pair_iterations),
            margin_starts=fewer(self.margin_starts, 1), margin_iterations=fewer(self.margin_iterations, 2),
            window_iterations=fewer(self.window_iterations, 2),
            permutation_iterations=fewer(self.permutation_iterations), long=fewer(self.long),
        )  # fmt: skip


def planned(settings: Settings, classifier: Classifier, budget: float | None) -> tuple[Settings, str | None]:
    """As deep as the budget allows, and a line that says so where that is less than was asked for."""
    if budget is None:
        return settings, None
    classes = len(classifier.labels)
    affordable = SAFETY * budget * _speed(classifier)
    least = settings.scaled(0.0, classes).passes(classes)
    if affordable < least:
        needed = math.ceil(budget * least / affordable)
        raise BadInput(
            f"a budget of {budget:g} s is too small: no class is left out, so {classifier.name} with its {classes} "
            f"classes takes {needed} s here at the least; expected a budget of that or more"
        )
    share = affordable / settings.passes(classes)
    if share >= 1:
        return settings, None
    return settings.scaled(
        share, classes
    ), f"the budget of {budget:g} s bought {share:.0%} of the passes of a full scan"


def _speed(classifier: Classifier) -> float:
    """Images a second in a search for patches, which does more than going forward and back; the first one warms up."""
    rows = rows_at_once(classifier)
    images = torch.full((rows, 1, *classifier.image_shape), 0.5)
    names, targets = [f"speed {place}" for place in range(rows)], torch.zeros(rows, dtype=torch.long)
    seconds = []
    for _ in range(4):
        started = time.monotonic()
        smallest(classifier, FAMILIES["patch"], names, targets, lambda iteration: images, iterations=1, seed=0)
        seconds.append(time.monotonic() - started)
    return rows / max(1e-9, min(seconds[1:]))


def rows_at_once(classifier: Classifier) -> int:
    """Images in one forward and backward, from their size alone: never from the machine, for the sake of repetition."""
    channels, height, width = classifier.image_shape
    return max(8, min(800, ROWS // (channels * height * width)))


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
