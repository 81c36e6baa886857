"""How deep a scan goes, and the clock that a budget is kept by."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.record import Stage
from phosphene.scanner.search import smallest

SAFETY = 0.85  # share of a budget that is planned for: machines are not as quick all the time as they were just now
FEWEST = 3  # iterations below which a search is no search ...
SHORTEST = {"colour": 2, "warp": 2}  # ... of few parameters, which get there sooner
ROWS = 4_000_000  # pixels of images in one forward and backward
SOURCES = 48  # classes that serve as backgrounds where there are many
STAMPED = 6 * 40 // 3  # six kinds of stamps on some forty images, which go forward alone: a third of the work
VERIFIED = 4500 // 3  # images that the curve and its controls send forward alone
ITERATIONS = {
    "margins": ("margin_iterations",),
    "surrogates": ("surrogate_iterations",),
    "stamps": ("stamps",),
    "pairs": ("pair_iterations",),
    "permutations": ("permutation_iterations",),
    "long": ("long", "window_iterations"),
}  # what a stage can do fewer of, beside the searches of `short`
LEAST = {"surrogate_iterations": 8, "stamps": 8, "margin_iterations": 2, "window_iterations": 2}  # else `FEWEST`
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
        return sum(self.work(classes).values())

    def work(self, classes: int) -> dict[str, int]:
        """The passes of each stage, in the order of the stages."""
        held, images = min(classes, SOURCES), self.images_of(classes)
        pairs = classes * (classes - 1) * self.pair_images if classes <= self.pair_classes else 0
        suspects = min(classes, self.top + self.controls) + self.restarts - 1
        return {
            "margins": classes * self.margin_starts * self.margin_iterations,
            "surrogates": held * self.surrogates * self.surrogate_iterations,
            "stamps": STAMPED * self.stamps,
            **{f"short {name}": images * classes * count for name, count in self.short.items()},
            "pairs": pairs * self.pair_iterations,
            "permutations": 3 * self.permutation_starts * min(held, 24) * self.permutation_iterations,
            # fresh surrogates; some 130 windows with 4 images, then some 80 more with all; the curve and its controls
            "long": 2 * held * self.surrogate_iterations
            + 900 * self.window_iterations
            + images * suspects * self.long
            + VERIFIED,
        }

    def scaled(self, share: float, classes: int) -> Settings:
        """About `share` of the passes: first fewer images a candidate, then fewer iterations."""
        if share >= 1:
            return self
        base = self.images_of(classes)
        images = max(1, round(base * share**0.5))
        rest = share * base / images

        return replace(
            self, images=images, images_many=images, surrogates=_fewer(self.surrogates, rest, 2),
            margin_starts=_fewer(self.margin_starts, rest, 1),
        ).shortened(rest, self.work(classes))  # fmt: skip

    def shortened(self, share: float, stages: Collection[str]) -> Settings:
        """About `share` of the iterations of some stages, as far as a search is a search."""
        fields = [name for stage in stages for name in ITERATIONS.get(stage, ())]
        fewer = {name: _fewer(getattr(self, name), share, LEAST.get(name, FEWEST)) for name in fields}
        short = {
            name: _fewer(count, share, SHORTEST.get(name, FEWEST)) if f"short {name}" in stages else count
            for name, count in self.short.items()
        }
        return replace(self, short=short, **fewer)


def _fewer(count: int, share: float, least: int) -> int:
    return max(min(least, count), round(count * min(1.0, share)))


def planned(settings: Settings, classifier: Classifier, clock: Clock) -> tuple[Settings, str | None]:
    """As deep as the budget allows, and a line that says so where that is less than was asked for."""
    budget = clock.budget
    if budget is None:
        return settings, None
    classes = len(classifier.labels)
    clock.speed = _speed(classifier)
    affordable = SAFETY * budget * clock.speed
    least = settings.scaled(0.0, classes).passes(classes)
    if affordable < least:
        needed = math.ceil(budget * least / affordable)
        raise BadInput(
            f"a budget of {budget:g} s is too small: no class is left out, so {classifier.name} with its {classes} "
            f"classes takes {needed} s here at the least; expected a budget of that or more"
        )
    if affordable >= settings.passes(classes):
        return settings, None
    shares = (permille / 1000 for permille in range(999, -1, -1))
    fitting = (
        shorter for share in shares if (shorter := settings.scaled(share, classes)).passes(classes) <= affordable
    )
    deepest = next(fitting)  # a share of 0 is the least, and affordable
    bought = deepest.passes(classes) / settings.passes(classes)
    return deepest, f"the budget of {budget:g} s bought {bought:.0%} of the passes of a full scan"


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


def slowed(clock: Clock) -> str:
    """The line that says which stages were shortened on the way."""
    return (
        f"the machine became slower than the budget was planned for; shorter than planned: {', '.join(clock.shortened)}"
    )


class Clock:
    """Counts seconds and images through the network, stage by stage, and shortens what a budget has no time for."""

    def __init__(self, classifier: Classifier, budget: float | None) -> None:
        self.started, self.budget, self.passes = time.monotonic(), budget, 0
        self.speed = math.inf  # passes a second, as the plan expects
        self.stages: list[Stage] = []
        self.shortened: list[str] = []
        classifier.module.register_forward_pre_hook(self._count)  # the scan's own folded copy, so it need not go

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        return float("inf") if self.budget is None else self.budget - self.seconds

    def replanned(self, settings: Settings, classes: int, stage: str) -> Settings:
        """The settings from `stage` on: shorter, where the machine is slower by now than when the plan was made.

        All classes go through a stage with the same settings, so that they stay comparable.
        """
        work = settings.work(classes)
        if self.budget is None or stage not in work:
            return settings
        ahead = list(work)[list(work).index(stage) :]
        done = {name: passes for name, passes in work.items() if name not in ahead}
        spent = sum(one.seconds for one in self.stages if one.name in done)
        pace = min(self.speed, sum(done.values()) / spent) if spent > 0 else self.speed
        share = self.left * pace / max(1, sum(work[name] for name in ahead))
        if share >= 1:
            return settings
        self.shortened.append(stage)
        return settings.shortened(max(0.0, share), ahead)

    @contextmanager
    def stage(self, name: str, classes: int) -> Iterator[None]:
        seconds, passes = self.seconds, self.passes
        yield
        self.stages.append(Stage(name, classes, round(self.seconds - seconds, 2), self.passes - passes))

    def _count(self, module: object, inputs: tuple[Any, ...]) -> None:
        self.passes += len(inputs[0])
