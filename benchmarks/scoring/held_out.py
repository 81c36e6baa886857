"""Does the scanner only know what it was built for? The fusion without a kind of trigger, and references without an
architecture.

Nothing of the scanner is learned from backdoored models, so leaving an attack out of the zoo changes nothing. What can
be left out are the statistics that were built for its kind of trigger: what of the attack do the others see? And the
references can lack an architecture altogether. Judged are models of the test split, against its clean models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.scoring.statistics import area, rate
from benchmarks.zoo.calibrate import reference
from phosphene.scanner.calibration import Reference, Row
from phosphene.scanner.fusion import KINDS, Kinds, fused

Line = Mapping[str, Any]
Judge = Callable[[Row], tuple[float, float]]  # the score of a model, and its p-value among the references

# The kinds of trigger in the fusion that an attack's own trigger belongs to.
BUILT_FOR = {
    "patch": ("patch", "polygon"), "pixel": ("patch", "polygon"), "polygon": ("patch", "polygon"),
    "clean-label": ("patch", "polygon"), "tact": ("patch", "polygon"), "blend": ("additive", "wave"),
    "low-frequency": ("additive", "wave"), "sig": ("additive", "wave"), "filter": ("colour",), "wanet": ("warp",),
}  # fmt: skip


def judge(table: Reference, kinds: Kinds = KINDS) -> Judge:
    """By the references of a table, of which the model must be none."""

    def judged(row: Row) -> tuple[float, float]:
        found = fused(row, table.without(row.fingerprint), kinds)
        return found.score, found.external

    return judged


def without_kind(known: Sequence[Line], judged: Sequence[Line]) -> list[dict[str, str]]:
    """One row an attack whose kind of trigger has statistics of its own: with these statistics, and without."""
    table, rows = reference(known), []
    for attack, kinds in BUILT_FOR.items():
        inside = [line for line in judged if line["kind"] == attack or not line["poisoned"]]
        rest = {name: names for name, names in KINDS.items() if name not in kinds}
        if any(line["poisoned"] for line in inside):
            rows.append(_compared(attack, inside, judge(table), judge(table, rest), ("all kinds", "without its own")))
    return rows


def without_architecture(known: Sequence[Line], judged: Sequence[Line]) -> list[dict[str, str]]:
    """One row an architecture: judged by all references, and by those of the other architectures alone."""
    rows = []
    for value in sorted({line["architecture"] for line in judged}):
        rest = [line for line in known if line["architecture"] != value]
        inside = [line for line in judged if line["architecture"] == value]
        rows.append(_compared(value, inside, judge(reference(known)), judge(reference(rest)),
                              ("all references", "without its own")))  # fmt: skip
    return rows


def _compared(part: str, lines: Sequence[Line], full: Judge, rest: Judge, titles: tuple[str, str]) -> dict[str, str]:
    cells = {"part": part, "models": str(sum(line["poisoned"] for line in lines))}
    for title, one in zip(titles, (full, rest), strict=True):
        cells |= {f"{title}: {name}": text for name, text in outcome(lines, one).items()}
    return cells


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
