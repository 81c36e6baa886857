"""How concentrated the importance is.

Source of the Gini index as a measure of sparsity: Hurley & Rickard, IEEE Trans. Inf. Theory 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import DIGITS, SHARE, Estimate, check_finite, estimate_mean
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.table import Row, Table, format_number, make_table, number_cell, share_cell


@dataclass(frozen=True)
class ComplexityScore:
    """Gini index and effective area of the importance, both in [0,1]."""

    gini: float
    effective_area: float


@dataclass(frozen=True)
class Complexity(MapMeasure[ComplexityScore, dict[str, Estimate]]):
    """Gini index and effective area of the importance map."""

    key = "complexity"
    title = "Complexity"
    question = "How concentrated is the importance over the picture?"
    good = "A Gini index near 1 and a small effective area: few places carry the evidence, and one can point at them."
    bad = "A Gini index near 0 and an area near 100%: the evidence is spread over everything."
    needs = ()
    score_type = ComplexityScore
    summary_type = dict[str, Estimate]

    def measure(self, case: Case) -> ComplexityScore:
        importance = case.saliency.importance.flatten().double()
        check_finite("importance", importance, varying=True)
        return ComplexityScore(round(gini(importance), DIGITS), round(effective_area(importance), DIGITS))

    def summarize(self, scores: Sequence[ComplexityScore], run: RunInfo) -> dict[str, Estimate]:
        names = ("gini", "effective_area")
        return {name: estimate_mean(name, [getattr(score, name) for score in scores], SHARE) for name in names}

    def table(self, summary: dict[str, Estimate]) -> Table:
        rows: list[Row] = [
            ("Gini index", number_cell(summary["gini"])),
            ("effective area", share_cell(summary["effective_area"])),
        ]
        return make_table(("importance", "value"), rows)

    def rows(self, score: ComplexityScore) -> Sequence[Row]:
        return [("effective area", share_cell(score.effective_area), f"Gini index {format_number(score.gini)}")]


def gini(values: Tensor) -> float:
    """Gini index of non-negative values `(N,)`: 0 where all are equal, near 1 where one has everything."""
    ordered = values.sort().values
    count = len(ordered)
    weights = 2 * torch.arange(1, count + 1, dtype=ordered.dtype) - count - 1
    return ((weights * ordered).sum() / (count * ordered.sum())).item()


def effective_area(values: Tensor) -> float:
    """`(Σa)² / (N Σa²)`: the share of equally important places that would be as concentrated."""
    return (values.sum().square() / (len(values) * values.square().sum())).item()
