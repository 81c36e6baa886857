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
from benchmarks.zoo.calibrate import make_reference
from phosphene.scanner.fusion import drop_kinds, fuse
from phosphene.scanner.reference import Reference, Row

Line = Mapping[str, Any]
Judge = Callable[[Row], tuple[float, float]]  # the score of a model, and its p-value among the references

# The kinds of trigger in the fusion that an attack's own trigger belongs to.
BUILT_FOR = {
    "patch": ("patch", "polygon"), "pixel": ("patch", "polygon"), "polygon": ("patch", "polygon"),
    "clean-label": ("patch", "polygon"), "tact": ("patch", "polygon"), "blend": ("additive", "wave"),
    "low-frequency": ("additive", "wave"), "sig": ("additive", "wave"), "filter": ("colour",), "wanet": ("warp",),
}  # fmt: skip


def make_judge(table: Reference, left_out: Sequence[str] = ()) -> Judge:
    """By the references of a table, of which the model must be none, and without some kinds of trigger."""
    roles = drop_kinds(left_out)

    def judge(row: Row) -> tuple[float, float]:
        found = fuse(row, table.without(row.fingerprint), roles=roles)
        return found.score, found.external

    return judge


def without_kind(known: Sequence[Line], judged: Sequence[Line]) -> list[dict[str, str]]:
    """One row an attack whose kind of trigger has statistics of its own: with these statistics, and without."""
    table, rows = make_reference(known), []
    for attack, kinds in BUILT_FOR.items():
        inside = [line for line in judged if line["kind"] == attack or not line["poisoned"]]
        if any(line["poisoned"] for line in inside):
            judges = make_judge(table), make_judge(table, kinds)
            rows.append(_compare(attack, inside, judges, ("all kinds", "without its own")))
    return rows


def without_architecture(known: Sequence[Line], judged: Sequence[Line]) -> list[dict[str, str]]:
    """One row an architecture: judged by all references, and by those of the other architectures alone."""
    rows = []
    for value in sorted({line["architecture"] for line in judged}):
        rest = [line for line in known if line["architecture"] != value]
        inside = [line for line in judged if line["architecture"] == value]
        judges = make_judge(make_reference(known)), make_judge(make_reference(rest))
        rows.append(_compare(value, inside, judges, ("all references", "without its own")))
    return rows


def _compare(part: str, lines: Sequence[Line], judges: tuple[Judge, Judge], titles: tuple[str, str]) -> dict[str, str]:
    cells = {"part": part, "models": str(sum(line["poisoned"] for line in lines))}
    for title, one in zip(titles, judges, strict=True):
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
