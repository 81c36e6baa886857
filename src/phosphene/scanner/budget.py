"""Seconds shared out among the stages of a scan, by what each stage says it costs.

A plan is made once the speed of the machine is known, and made again before each stage: where the machine has become
slower, the stages ahead are shortened. All classes go through a stage with the same settings, so that they stay
comparable, and no class is left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from phosphene.core.hooks import pre_hooks
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.record import Stage
from phosphene.scanner.search import minimize_size
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.statistic import Stage as PlannedStage

SAFETY = 0.85  # share of a budget that is planned for: no machine keeps the speed that was measured
TRIALS = 4  # searches that measure the speed; the first warms up
BISECTIONS = 20
# Stages that keep the depth of the references before others do, for what was measured otherwise is not compared with
# them: first what all is built on, then two cheap families, which are enough for a p-value.
COMPARED_FIRST = (
    "surrogates",
    "short warp",
    "short colour",
    "margins",
    "short patch",
    "short additive",
    "patch stamps",
    "other stamps",
    "permutations",
)


@dataclass(frozen=True)
class Mark:
    """A moment of a scan: seconds since its start, and images that went through the network until then."""

    seconds: float
    passes: int


class Budget:
    """Plans `stages` and counts what they take; `allowed` is in seconds, and None does not limit anything."""

    def __init__(self, size: ModelSize, stages: Sequence[PlannedStage], allowed: float | None = None) -> None:
        self.size, self.stages, self.allowed = size, tuple(stages), allowed
        self.started = time.monotonic()
        self.passes = 0
        self.speed = math.inf  # passes a second, as planned
        self.full: Settings | None = None  # what was asked for
        self.telling: Mapping[str, int] = {}  # fields that are left out below these numbers
        self.first: tuple[str, ...] = ()  # keys of the stages that keep that depth before others do
        self.done: list[Stage] = []
        self.shortened: list[str] = []  # keys of the stages before which the plan was shortened
        self.checks: list[str] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def cost(self, settings: Settings, stages: Sequence[PlannedStage] | None = None) -> int:
        """Passes that the stages say they cost."""
        return sum(stage.cost(settings, self.size) for stage in (self.stages if stages is None else stages))

    def plan(
        self,
        settings: Settings,
        classifier: Classifier,
        first: Sequence[str] = (),
        telling: Mapping[str, int] | None = None,
        like: Settings | None = None,
    ) -> Settings:
        """The settings, as deep as the budget allows; stages named `first` are shortened after all others. As deep as
        `like`, a base that was measured before, where that can be had: what was measured otherwise is not compared.

        Of the fields of `telling` that come out below their number, the one that falls shortest becomes 0, and what it
        would have cost is shared out again, until there is none; so too when the plan is made again.
        Raises `BadInput` where even the least would not fit.
        """
        self.full, self.first, self.telling = settings, tuple(first), telling or {}
        if self.allowed is None:
            return settings
        self.speed = measure_speed(classifier)
        affordable, fields = SAFETY * self.allowed * self.speed, _least_of(self.stages)
        least = _leave_out(_scale(settings, fields, 0.0), self.telling)
        self._check_affordable(self.cost(least), affordable, classifier.name)
        deepest = settings if like is None else _take_depth(settings, like, fields)
        if self.cost(deepest) > (affordable if like is None else self.allowed * self.speed):
            deepest = self._find_telling(settings, fields, self.stages, affordable)
        if deepest == settings:
            return settings
        if left_out := [name for name in self.telling if getattr(settings, name) and not getattr(deepest, name)]:
            names = ", ".join(name.removesuffix("_iterations") for name in left_out)
            self.checks.append(f"too few iterations to tell something of so many classes: no {names}")
        share = self.cost(deepest) / self.cost(settings)
        self.checks.append(f"the budget of {self.allowed:g} s bought {share:.0%} of the passes of a full scan")
        return deepest

    def replan(self, settings: Settings, key: str) -> Settings:
        """The settings from stage `key` on: shorter, where the time left is too short for the plan.

        What an earlier stage has used stays as it is.
        """
        if self.allowed is None:
            return settings
        place = [stage.key for stage in self.stages].index(key)
        before, ahead = self.stages[:place], self.stages[place:]
        affordable = (self.allowed - self.seconds) * self._pace(settings, before)
        if self.cost(settings, ahead) <= affordable:
            return settings
        used = _least_of(before)
        fields = {name: least for name, least in _least_of(ahead).items() if name not in used}
        shorter = self._find_telling(settings, fields, ahead, affordable)
        if shorter != settings:
            self.shortened.append(key)
        return shorter

    def mark(self) -> Mark:
        return Mark(self.seconds, self.passes)

    def add(self, key: str, classes: int, since: Mark) -> None:
        """Note that a stage for so many classes is done."""
        seconds, passes = self.seconds - since.seconds, self.passes - since.passes
        self.done.append(Stage(key, classes, round(seconds, 2), passes))

    @contextmanager
    def count_passes(self, classifier: Classifier) -> Iterator[None]:
        """Count the images that go through the classifier's network."""

        def count(module: object, inputs: tuple[object, ...]) -> None:
            if isinstance(inputs[0], torch.Tensor):
                self.passes += len(inputs[0])

        with pre_hooks([(classifier.module, count)]):
            yield

    def list_checks(self) -> list[str]:
        """What a user must know of the plan and how it was kept."""
        if not self.shortened:
            return self.checks
        stages = ", ".join(self.shortened)
        slower = f"the machine became slower than the budget was planned for; shorter than planned: {stages}"
        return [*self.checks, slower]

    def _check_affordable(self, least: int, affordable: float, name: str) -> None:
        if self.allowed is not None and affordable < least:
            needed = math.ceil(self.allowed * least / affordable)
            raise BadInput(
                f"a budget of {self.allowed:g} s is too small: no class is left out, so {name} with its "
                f"{self.size.classes} classes takes {needed} s here at the least; expected a budget of that or more"
            )

    def _pace(self, settings: Settings, before: Sequence[PlannedStage]) -> float:
        """Passes a second: the planned speed, or that of the stages done, whichever is slower."""
        costs = {stage.key: stage.cost(settings, self.size) for stage in before}
        spent = sum(stage.seconds for stage in self.done if costs.get(stage.name))
        return min(self.speed, sum(costs.values()) / spent) if spent > 0 else self.speed

    def _find_telling(
        self, settings: Settings, fields: Mapping[str, int], stages: Sequence[PlannedStage], affordable: float
    ) -> Settings:
        """The deepest of which no field falls short of what it must have to tell something."""
        ahead = {name: fewest for name, fewest in self.telling.items() if name in fields}
        deepest = self._find_deepest(settings, fields, stages, affordable)
        while short := [name for name, fewest in ahead.items() if 0 < getattr(deepest, name) < fewest]:
            shortest = min(short, key=lambda name: getattr(deepest, name) / ahead[name])
            settings = _leave_out(settings, [shortest])
            deepest = self._find_deepest(settings, fields, stages, affordable)
        return deepest

    def _find_deepest(
        self, settings: Settings, fields: Mapping[str, int], stages: Sequence[PlannedStage], affordable: float
    ) -> Settings:
        """The largest share of each field that the stages can be had for, by bisection; at the least, its minimum.

        Fields of stages that come first are kept whole before, one stage after the other, where that is affordable.
        """
        fields = self._list_scalable(settings, fields, stages, affordable)
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if self.cost(_scale(settings, fields, middle), stages) <= affordable:
                low = middle
            else:
                high = middle
        return _scale(settings, fields, low)

    def _list_scalable(
        self, settings: Settings, fields: Mapping[str, int], stages: Sequence[PlannedStage], affordable: float
    ) -> Mapping[str, int]:
        """The fields that are not kept whole for a stage that comes first."""
        for stage in sorted(stages, key=self._rank):
            rest = {name: least for name, least in fields.items() if name not in stage.least}
            whole = all(getattr(settings, name) == getattr(self.full, name) for name in stage.least)
            if stage.key in self.first and whole and self.cost(_scale(settings, rest, 0.0), stages) <= affordable:
                fields = rest
        return fields

    def _rank(self, stage: PlannedStage) -> int:
        return self.first.index(stage.key) if stage.key in self.first else len(self.first)


def measure_speed(classifier: Classifier, count: int | None = None) -> float:
    """Images a second in a search for patches, which does more than going forward and back; in passes as large as those
    of a scan, or of `count` images."""
    count = count or ModelSize.of(classifier).images_per_pass
    images = torch.full((count, 1, *classifier.image_shape), 0.5)
    names = [f"speed {place}" for place in range(count)]
    seconds = []
    for _ in range(TRIALS):
        started = time.monotonic()
        minimize_size(classifier, FAMILIES["patch"], names, [0] * count, lambda iteration: images, iterations=1, seed=0)
        seconds.append(time.monotonic() - started)
    return count / max(1e-9, min(seconds[1:]))


def _least_of(stages: Sequence[PlannedStage]) -> dict[str, int]:
    return {name: least for stage in stages for name, least in stage.least.items()}


def _leave_out(settings: Settings, names: Iterable[str]) -> Settings:
    """With 0 in the fields of these names."""
    zeros: dict[str, Any] = dict.fromkeys(names, 0)
    return replace(settings, **zeros)


def _take_depth(settings: Settings, like: Settings, fields: Iterable[str]) -> Settings:
    """With the fields of `like`, where these are lower."""
    return replace(settings, **{name: min(getattr(settings, name), getattr(like, name)) for name in fields})


def _scale(settings: Settings, fields: Mapping[str, int], share: float) -> Settings:
    """About `share` of each field, but not below its least."""
    values = {name: getattr(settings, name) for name in fields}
    return replace(
        settings, **{name: max(min(fields[name], value), round(value * share)) for name, value in values.items()}
    )
