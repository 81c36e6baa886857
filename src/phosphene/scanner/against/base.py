"""A base to compare a model with: measured now, or read from the record of its scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from phosphene.core.images import ImageShape
from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.against.record import SourceName
from phosphene.scanner.budget import Budget
from phosphene.scanner.context import Context
from phosphene.scanner.measuring import check_exclusive, describe_model, measure_statistics, prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS, collect_roles
from phosphene.scanner.statistics.statistic import Statistic

STAGE = "base"  # of a scan in which a base is measured
SHOWN = 3  # names of classes that differ


@dataclass(frozen=True)
class Base:
    """The statistics of a base, and the settings that they were measured with; `shape` is (C, H, W)."""

    row: Row
    labels: tuple[str, ...]
    shape: ImageShape
    settings: Settings
    source: SourceName

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def fingerprint(self) -> str:
        return self.row.fingerprint

    @property
    def image_shape(self) -> ImageShape:
        return self.shape

    @staticmethod
    def of_scan(scan: Scan) -> Base:
        """The base that a record of an earlier scan describes."""
        names = dict.fromkeys(name for one in scan.classes for name in one.statistics)
        classes = {name: tuple(one.statistics.get(name, math.nan) for one in scan.classes) for name in names}
        model, form = scan.model, scan.model.input
        row = Row(model.name, model.fingerprint, model.outputs, form.size[0], form.channels, classes, scan.absolutes)
        labels = tuple(one.name for one in scan.classes)
        return Base(row.with_medians(), labels, (form.channels, *form.size), _read_settings(scan.settings), "scan")


@dataclass(frozen=True)
class BaseStage:
    """What measuring a base costs, for the budget."""

    key: str = STAGE
    least: Mapping[str, int] = field(default_factory=dict)  # it has the settings of its model

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return sum(one.cost(settings, size) for one in list_counted())


def measure_base(
    base: Classifier, settings: Settings, budget: Budget | None = None, pictures: Tensor | None = None
) -> Base:
    """All that counts of a model; what it costs is added to the budget."""
    private, own = prepare_classifier(base), Budget(ModelSize.of(base), ())
    total = own if budget is None else budget
    since = total.mark()
    with total.count_passes(private):
        row = measure_statistics(Context(private, settings, pictures=pictures), own, statistics=list_counted()).row
    total.add(STAGE, row.outputs, since)
    return Base(row, tuple(base.labels), base.image_shape, settings, "model")


def open_base(base: Classifier | Base, context: Context, budget: Budget) -> Base:
    """What was measured of the base, else what is now, as the model of `context` was; of the very same weights
    nothing is."""
    if isinstance(base, Base):
        return base
    if base.fingerprint == context.classifier.fingerprint:
        return Base(describe_model(base), tuple(base.labels), base.image_shape, context.settings, "model")
    return measure_base(base, context.settings, budget, context.pictures)


def list_counted() -> list[Statistic]:
    """Statistics with a column that a comparison with clean models counts."""
    compared = collect_roles().compared
    return [one for one in STATISTICS.values() if any(column.key in compared for column in one.columns)]


def check_comparable(classifier: Classifier, base: Classifier | Base, settings: Settings) -> None:
    """Raise `BadInput` unless the base has the same classes and images, and was measured with the same seed."""
    if isinstance(base, Classifier):
        check_exclusive(base)
    labels, own, shape = tuple(base.labels), tuple(classifier.labels), classifier.image_shape
    if labels != own:
        raise BadInput(
            f"the base {base.name} has other classes than {classifier.name}: {_tell_apart(labels, own)}; expected a "
            f"base of the same classes in the same order"
        )
    if base.image_shape != shape:
        raise BadInput(
            f"the base {base.name} takes images of {_write_shape(base.image_shape)}; expected {_write_shape(shape)}, "
            f"as {classifier.name} does"
        )
    if isinstance(base, Base) and base.settings.seed != settings.seed:
        raise BadInput(
            f"the base {base.name} was scanned with seed {base.settings.seed}, and random draws cancel in differences "
            f"only where they are the same; expected {settings.seed}, or --seed {base.settings.seed} for this scan too"
        )


def _tell_apart(got: tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(got) != len(expected):
        return f"{len(got)} where {len(expected)} are expected"
    places = [place for place, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]]
    shown = ", ".join(f"{place} is {got[place]!r}, not {expected[place]!r}" for place in places[:SHOWN])
    return shown + (f", and {len(places) - SHOWN} more" if len(places) > SHOWN else "")


def _write_shape(shape: ImageShape) -> str:
    return f"{shape[0]} × {shape[1]} × {shape[2]}"


def _read_settings(settings: Mapping[str, Any]) -> Settings:
    """Those of a record; what a later version has added keeps its default."""
    known = {one.name for one in fields(Settings)}
    return Settings(**{name: value for name, value in to_plain(settings).items() if name in known})
