"""The p-values of one model: by references where they speak for it, else by its own classes where they are many; and by
its differences from a base, where one is given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from phosphene.scanner.against.base import Base
from phosphene.scanner.against.judging import Model, judge_against
from phosphene.scanner.against.judging import list_checks as list_checks_of_base
from phosphene.scanner.against.record import Against
from phosphene.scanner.comparison import Comparison, choose_references, compare, explain
from phosphene.scanner.fusion import Fused, fuse
from phosphene.scanner.own_classes import ASSUMES, MIN_CLASSES, Controls, compare_own_classes
from phosphene.scanner.pvalues import accuses, combine, combine_with_base
from phosphene.scanner.record import OwnClasses
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.stamps import MEDIAN
from phosphene.scanner.verdict import FEWEST_CLASSES, SUSPICIOUS_LEVEL

CROWD = (
    "random patches lead to the median class more surely than in any clean reference: perhaps many classes have a "
    "trigger, the most suspicious one among them"
)


@dataclass(frozen=True)
class Judged:
    """What is compared, and how. `controls` are the model's own classes, None where references speak for it or too few
    classes are there; `references` are how many; `against` is what a base adds. In a `crowd` random patches lead to the
    median class more surely than in any reference."""

    fused: Fused
    comparison: Comparison
    controls: Controls | None
    references: int
    against: Against | None = None
    crowd: bool = False

    @property
    def external(self) -> float | None:
        return None if self.comparison.outside else self.fused.external

    @property
    def own_classes(self) -> OwnClasses | None:
        if self.controls is None:
            return None
        return OwnClasses(self.controls.p_value, self.controls.classes, self.controls.tail, ASSUMES)

    @property
    def tail(self) -> float | None:
        """The p-value of the differences from a base, where no references speak for them."""
        return self.against.p_value if self.against is not None and self.against.method == "tail" else None

    @property
    def p_value(self) -> float:
        own = None if self.controls is None else self.controls.p_value
        if self.tail is not None:
            return combine_with_base(self.tail, self.fused.internal, own)
        return combine(self.fused.internal, self.external, own)

    @property
    def calibrated(self) -> bool:
        """Can the p-value accuse? By references, or by differences from a base that are small enough alone; by the
        own classes it cannot: too few clean networks of many classes have been measured."""
        if self.external is not None or self.tail is None:
            return self.external is not None
        return accuses(self.tail, SUSPICIOUS_LEVEL, own=self.controls is not None)

    def list_checks(self, classes: int) -> list[str]:
        """What a user must know of what the model of so many classes was compared with."""
        checks = list_checks_of_base(self.against)
        if classes < FEWEST_CLASSES:
            checks.append(f"{classes} classes cannot be compared with each other; expected {FEWEST_CLASSES} or more")
        if not self.comparison.outside:
            return [*checks, *([CROWD] if self.crowd else []), *explain(self.comparison)]
        outside = f"outside the calibration range ({'; '.join(self.comparison.outside)})"
        if self.controls is not None:
            count = self.controls.classes
            also = "" if self.tail is None else " and by the differences from the base"
            return [
                *checks,
                f"{outside}: the p-value is by the model's own {count} classes{also}; it assumes that {ASSUMES}",
            ]
        few = f"no p-value by the model's own classes, for fewer than {MIN_CLASSES} can be compared"
        if self.tail is not None:
            return [*checks, f"{outside}: the internal p-value and that of the differences from the base count", few]
        return [*checks, f"{outside}: only the internal p-value counts", few]


def judge(
    row: Row, table: Reference, settings: Settings, base: Base | None = None, spared: Collection[str] = ()
) -> Judged:
    """The p-values of a model that is not in the table, measured with `settings`, and of its differences from a base.

    Columns that were `spared` are said elsewhere to be missing.
    The scores of the classes are those that the deciding p-value speaks of.
    """
    table = choose_references(row, table, settings)
    comparison = compare(row, table, settings, spared)
    fused = fuse(row, table, left_out=comparison.left_out)
    controls = compare_own_classes(row) if comparison.outside else None
    if controls is not None:
        fused = replace(
            fused,
            scores=controls.scores,
            score=max(controls.scores),
            neg_log_p={**fused.neg_log_p, **controls.surprise},
        )
    against = None
    if base is not None:
        fused, against = judge_against(Model(row, settings, fused, comparison, controls is not None), base, table)
    return Judged(fused, comparison, controls, len(table.rows), against, _is_crowd(row, table, comparison))


def _is_crowd(row: Row, table: Reference, comparison: Comparison) -> bool:
    """Does the median class lie beyond that of every reference, where these speak for it?"""
    if comparison.outside or MEDIAN.key in comparison.left_out or MEDIAN.key not in row.whole:
        return False
    return row.whole[MEDIAN.key] > table.ranges[MEDIAN.key][1]
