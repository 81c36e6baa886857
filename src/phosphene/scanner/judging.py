"""The p-values of one model: by references where they speak for it, else by its own classes where they are many."""

from __future__ import annotations

from dataclasses import dataclass, replace

from phosphene.scanner.comparison import Comparison, compare, explain
from phosphene.scanner.fusion import Fused, fuse
from phosphene.scanner.own_classes import ASSUMES, MIN_CLASSES, Controls, compare_own_classes
from phosphene.scanner.pvalues import combine
from phosphene.scanner.record import OwnClasses
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.settings import Settings
from phosphene.scanner.verdict import FEWEST_CLASSES


@dataclass(frozen=True)
class Judged:
    """`controls` are the model's own classes, None where references speak for it or too few classes are there."""

    fused: Fused
    comparison: Comparison
    controls: Controls | None

    @property
    def external(self) -> float | None:
        return None if self.comparison.outside else self.fused.external

    @property
    def own_classes(self) -> OwnClasses | None:
        if self.controls is None:
            return None
        return OwnClasses(self.controls.p_value, self.controls.classes, self.controls.tail, ASSUMES)

    @property
    def p_value(self) -> float:
        own = None if self.controls is None else self.controls.p_value
        return combine(self.fused.internal, self.external, own)

    @property
    def calibrated(self) -> bool:
        """Does any p-value but the internal one speak for the model?"""
        return self.external is not None or self.controls is not None

    def list_checks(self, classes: int) -> list[str]:
        """What a user must know of what the model of so many classes was compared with."""
        checks = []
        if classes < FEWEST_CLASSES:
            checks.append(f"{classes} classes cannot be compared with each other; expected {FEWEST_CLASSES} or more")
        if not self.comparison.outside:
            return [*checks, *explain(self.comparison)]
        outside = f"outside the calibration range ({'; '.join(self.comparison.outside)})"
        if self.controls is not None:
            count = self.controls.classes
            return [*checks, f"{outside}: the p-value is by the model's own {count} classes; it assumes that {ASSUMES}"]
        few = f"no p-value by the model's own classes, for fewer than {MIN_CLASSES} can be compared"
        return [*checks, f"{outside}: only the internal p-value counts", few]


def judge(row: Row, table: Reference, settings: Settings) -> Judged:
    """The p-values of a model that is not in the table, measured with `settings`.

    The scores of the classes are those that the deciding p-value speaks of.
    """
    comparison = compare(row, table, settings)
    fused = fuse(row, table, left_out=comparison.left_out)
    controls = compare_own_classes(row) if comparison.outside else None
    if controls is not None:
        fused = replace(
            fused,
            scores=controls.scores,
            score=max(controls.scores),
            neg_log_p={**fused.neg_log_p, **controls.surprise},
        )
    return Judged(fused, comparison, controls)
