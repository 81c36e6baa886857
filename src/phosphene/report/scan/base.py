"""What the page of a scan says of its base: the classes by what differs, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.report.page import format_p_value
from phosphene.report.scan.drawings import Dot, place_dots
from phosphene.scanner.against.record import Against
from phosphene.scanner.pvalues import accuses
from phosphene.scanner.record import ClassEvidence, Scan
from phosphene.scanner.verdict import SUSPICIOUS_LEVEL

SOURCES = {"model": "measured in this scan", "scan": "read from the record of its scan"}
ASSUMED = (
    "A base with the same backdoor shows no difference, so the model itself is judged as without a base too; a base "
    "of other training data may differ in a class for good reasons."
)


@dataclass(frozen=True)
class BaseSection:
    """The classes with the largest difference first, as rows of the table of classes and as dots."""

    against: Against
    ranking: list[ClassEvidence]
    dots: list[Dot]
    source: str
    summary: str
    meaning: str
    assumed: str = ASSUMED


def build_base_section(scan: Scan) -> BaseSection | None:
    """None of a scan without a base, or with one of the same weights, which has nothing to show."""
    against = scan.against
    if against is None:
        return None
    rows = [
        ClassEvidence(
            one.index,
            one.name,
            against.scores[place],
            {},
            {name: v[place] for name, v in against.differences.items()},
            one.depth,
        )
        for place, one in enumerate(scan.classes)
    ]
    ranking = sorted(rows, key=lambda one: -one.score)
    summary = summarize_base(against, ranking[0].name)
    return BaseSection(against, ranking, place_dots(ranking), SOURCES[against.source], summary, _explain(against))


def summarize_base(against: Against, largest: str = "") -> str:
    """One sentence: `resnet20: p = 0.01 for the differences, the largest is of 7 ship`."""
    if against.identical:
        return f"{against.name} has identical weights, so nothing differs"
    p_value = "no p-value" if against.p_value is None else f"p = {format_p_value(against.p_value)}"
    named = f", the largest is of {largest}" if largest else ""
    return f"{against.name}: {p_value} for the differences class by class{named}"


def rank_differences(scan: Scan) -> bool:
    """Are the scores of the classes those of their differences, as each other's controls?"""
    against = scan.against
    if against is None or against.method != "tail" or against.p_value is None:
        return False
    return accuses(against.p_value, SUSPICIOUS_LEVEL, own=scan.own_classes is not None)


def explain_scores(scan: Scan) -> str:
    """How the scores of the classes are to be read with a base; empty where as without one."""
    if scan.against is not None and scan.against.method == "references":
        return "With the base, the score is the larger of the class's own and of its difference, which is shown below."
    if rank_differences(scan):
        return "Here the scores are those of the differences from the base, in nats."
    return ""


def _explain(against: Against) -> str:
    """What the p-value of the differences rests on."""
    if against.method == "references":
        return (
            f"The largest difference is ranked among those of {against.models} pairs of clean models, each with the "
            f"one that is most like it. They were trained apart and differ more than a model and what training on "
            f"made of it, so the rank is cautious. The external p-value above ranks the larger of the model's own "
            f"score and its difference's among the same of clean models."
        )
    if against.method == "tail":
        return (
            "No clean references speak for this pair. The classes' differences are each other's controls: if none were "
            "a target, the first would lead the second by so much this often. That assumes that without a backdoor the "
            "scores of differences have an exponential tail or a lighter one, and that at most one class is a target."
        )
    return f"There is no p-value for the differences: {'; '.join(against.reasons)}."
