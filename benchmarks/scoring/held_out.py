"""Does the scanner only know what it has seen? Weights and references learned without the part they are judged on.

The weights of the fusion are learned on the development models without one family of attacks, or without one
architecture; in the latter case the reference table lacks that architecture too. Judged are the models of that part in
the test split, against its clean models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.scoring.statistics import area, rate
from benchmarks.zoo.calibrate import learned, reference
from phosphene.scanner.calibration import Reference, Row
from phosphene.scanner.fusion import fused

Line = Mapping[str, Any]
Judge = Callable[[Row], tuple[float, float]]  # the score of a model, and its p-value among the references


def judge(table: Reference) -> Judge:
    """By the references of a table, of which the model must be none."""

    def judged(row: Row) -> tuple[float, float]:
        found = fused(row, table.without(row.fingerprint))
        return found.score, found.external

    return judged


def leave_one_out(
    known: Sequence[Line], judged: Sequence[Line], field: str, *, references_too: bool
) -> list[dict[str, str]]:
    """One row a value of `field` that poisoned models of `judged` have: with the part in the learning, and without."""
    full = judge(reference(known, learned(known)))
    rows = []
    for value in sorted({line[field] for line in judged if line["poisoned"]}):
        rest = [line for line in known if line[field] != value]
        part = judge(reference(rest if references_too else known, learned(rest)))
        inside = [line for line in judged if line[field] == value or (not references_too and not line["poisoned"])]
        cells = {"left out": str(value), "models": str(sum(line["poisoned"] for line in inside))}
        for title, one in (("learned with it", full), ("learned without it", part)):
            cells |= {f"{title}: {name}": text for name, text in outcome(inside, one).items()}
        rows.append(cells)
    return rows


def outcome(lines: Sequence[Line], one: Judge) -> dict[str, str]:
    """AUC, detections and false alarms at conformal p ≤ .05."""
    found = [(line["poisoned"], *one(Row.from_json(line["row"]))) for line in lines]
    clean, poisoned = ([score for is_poisoned, score, _ in found if is_poisoned is side] for side in (False, True))
    accused = [[p <= 0.05 for is_poisoned, _, p in found if is_poisoned is side] for side in (False, True)]
    return {
        "AUC": f"{area(clean, poisoned):.2f}" if clean and poisoned else "–",
        "detected": f"{sum(accused[1])} of {len(poisoned)}",
        "false alarms": str(rate(sum(accused[0]), len(clean))) if clean else "–",
    }
