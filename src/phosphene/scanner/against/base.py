"""A base to compare a model with: measured now, or read from the record of its scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.against.record import SourceName
from phosphene.scanner.budget import Budget
from phosphene.scanner.context import Context
from phosphene.scanner.measuring import describe_model, measure_statistics, prepare_classifier
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
    """The statistics of a base, and the settings that they were measured with."""

    row: Row
    settings: Settings
    source: SourceName

    @staticmethod
    def of_scan(scan: Scan) -> Base:
        """The base that a record of an earlier scan describes."""
        names = dict.fromkeys(name for one in scan.classes for name in one.statistics)
        classes = {name: tuple(one.statistics.get(name, math.nan) for one in scan.classes) for name in names}
        model = scan.model
        side, channels = model.input.size[0], model.input.channels
        row = Row(model.name, model.fingerprint, model.outputs, side, channels, classes, scan.absolutes)
        return Base(row, _read_settings(scan.settings), "scan")


@dataclass(frozen=True)
class BaseStage:
    """What measuring a base costs, for the budget."""

    key: str = STAGE
    least: Mapping[str, int] = field(default_factory=dict)  # it has the settings of its model

    def cost(self, settings: Settings, size: ModelSize) -> int:
        return sum(one.cost(settings, size) for one in list_counted())


def open_base(base: Classifier | Scan, settings: Settings, budget: Budget, classifier: Classifier) -> Base:
    """The base of a record; or all that counts of a model, with the settings that `classifier` was measured with. Weights
    that are identical are not measured again."""
    if isinstance(base, Scan):
        return Base.of_scan(base)
    if base.fingerprint == classifier.fingerprint:
        return Base(describe_model(base), settings, "model")
    private, own = prepare_classifier(base), Budget(ModelSize.of(base), ())
    since = budget.mark()
    with budget.count_passes(private):
        row = measure_statistics(Context(private, settings), own, statistics=list_counted()).row
    budget.add(STAGE, row.outputs, since)
    return Base(row, settings, "model")


def get_fingerprint(base: Classifier | Scan) -> str:
    return base.model.fingerprint if isinstance(base, Scan) else base.fingerprint


def list_counted() -> list[Statistic]:
    """Statistics with a column that a comparison with clean models counts."""
    compared = collect_roles().compared
    return [one for one in STATISTICS.values() if any(column.key in compared for column in one.columns)]


def check_comparable(classifier: Classifier, base: Classifier | Scan, settings: Settings) -> None:
    """Raise `BadInput` unless the base has the same classes and images, and was measured with the same seed."""
    labels, form, name = _describe(base)
    if labels != tuple(classifier.labels):
        raise BadInput(
            f"the base {name} has other classes than {classifier.name}: {_tell_apart(labels, tuple(classifier.labels))}; "
            f"expected a base of the same classes in the same order"
        )
    own = classifier.image_shape
    if form != own:
        raise BadInput(
            f"the base {name} takes images of {_write_shape(form)}; expected {_write_shape(own)}, as {classifier.name} does"
        )
    if isinstance(base, Scan) and base.seed != settings.seed:
        raise BadInput(
            f"the scan of the base {name} has the seed {base.seed}; expected {settings.seed}, that of this scan, for "
            f"differences of random draws do not cancel otherwise; give --seed {base.seed}"
        )


def _describe(base: Classifier | Scan) -> tuple[tuple[str, ...], tuple[int, int, int], str]:
    """Labels, image shape and name."""
    if isinstance(base, Scan):
        form = base.model.input
        return tuple(one.name for one in base.classes), (form.channels, *form.size), base.model.name
    return tuple(base.labels), base.image_shape, base.name


def _tell_apart(got: tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(got) != len(expected):
        return f"{len(got)} where {len(expected)} are expected"
    places = [place for place, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]]
    shown = ", ".join(f"{place} is {got[place]!r}, not {expected[place]!r}" for place in places[:SHOWN])
    return shown + (f", and {len(places) - SHOWN} more" if len(places) > SHOWN else "")


def _write_shape(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} × {shape[1]} × {shape[2]}"


def _read_settings(settings: Mapping[str, Any]) -> Settings:
    """Those of a record; what a later version has added keeps its default."""
    known = {one.name for one in fields(Settings)}
    return Settings(**{name: value for name, value in to_plain(settings).items() if name in known})
