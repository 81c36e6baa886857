"""Measures every statistic of one model; knows no thresholds, weights or other models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.budget import Budget
from phosphene.scanner.context import Context
from phosphene.scanner.reference import Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import LATER, STATISTICS
from phosphene.scanner.statistics.statistic import Measured, Statistic

MAX_BATCH = 180  # images; a larger batch is no faster
SMALL_BATCH = 16  # images of a batch of large images, which a larger one would push out of the processor's cache

OnStage = Callable[[str], None]
IsClear = Callable[[Row, Settings], bool]


@dataclass(frozen=True)
class Measurement:
    """A model's row of statistics, what was computed for it, and what a user must know of it. Where it is `clear`, the
    later statistics were not measured."""

    row: Row
    context: Context
    checks: tuple[str, ...]
    clear: bool = False


def ignore_stage(key: str) -> None:
    """Default callback; does nothing."""


def never_clear(row: Row, settings: Settings) -> bool:
    """Default callback; every statistic is measured."""
    return False


def check_exclusive(classifier: Classifier) -> None:
    """Raise `BadInput` where several classes may hold at once."""
    if not classifier.output_kind.exclusive:
        raise BadInput(
            f"the outputs of {classifier.name} are {classifier.output_kind.name}, of which several may hold; a scan "
            f"compares classes that exclude each other; expected a model with such classes"
        )


def prepare_classifier(classifier: Classifier) -> Classifier:
    """A private folded copy; small images go through it in larger batches, which are never padded."""
    check_exclusive(classifier)
    private = classifier.fold()
    size = MAX_BATCH if private.batch_size > SMALL_BATCH else private.batch_size
    return private.replace(pad_batches=False, batch_size=size)


def measure_statistics(
    context: Context,
    budget: Budget,
    on_stage: OnStage = ignore_stage,
    statistics: Iterable[Statistic] | None = None,
    is_clear: IsClear = never_clear,
) -> Measurement:
    """All registered statistics, or the given ones, of a model that `prepare_classifier` made.

    The later ones are left out where the row of the first `is_clear`, measured with the settings that were kept to.
    """
    results: list[Measured] = []
    clear: bool | None = None  # not asked yet
    for statistic in STATISTICS.values() if statistics is None else statistics:
        if statistic in LATER and clear is None:
            clear = is_clear(_make_row(context, results), context.settings)
        if statistic in LATER and clear:
            continue
        context = replace(context, settings=budget.replan(context.settings, statistic.key))
        on_stage(statistic.key)
        since, measured = budget.mark(), statistic.measure(context)
        if measured.classes or measured.whole:
            budget.add(statistic.key, measured.reached or context.size.classes, since)
        results.append(measured)
    checks = tuple(check for measured in results for check in measured.checks)
    return Measurement(_make_row(context, results), context, checks, bool(clear))


def describe_model(classifier: Classifier) -> Row:
    """A row without any statistic."""
    size, channels = classifier.format.size[0], classifier.format.channels
    return Row(classifier.name, classifier.fingerprint, len(classifier.labels), size, channels, {}, {})


def _make_row(context: Context, results: list[Measured]) -> Row:
    """Dead classes have no values: they would pass for classes that are hard to reach, and widen every spread."""
    dead = torch.zeros(context.size.classes, dtype=torch.bool)
    dead[[index for measured in results for index in measured.dead]] = True
    classes = {
        key: tuple(values.masked_fill(dead, torch.nan).tolist())
        for measured in results
        for key, values in measured.classes.items()
    }
    whole = {key: value for measured in results for key, value in measured.whole.items()}
    return replace(describe_model(context.classifier), classes=classes, whole=whole)
