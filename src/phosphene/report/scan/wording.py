"""What the page of a scan says in sentences: verdicts, p-values, statistics, frameworks.

A false accusation costs trust, and a false all-clear costs more: no sentence here calls a model backdoored or clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phosphene.scanner.against.record import Against
from phosphene.scanner.exports.frameworks import ENTRIES
from phosphene.scanner.own_classes import MIN_CLASSES
from phosphene.scanner.pvalues import BASE_SHARE, EXTERNAL_SHARE
from phosphene.scanner.record import Calibration, Curve, Named, OwnClasses, Scan, Trigger
from phosphene.scanner.statistics.registry import CLEAR, list_columns
from phosphene.scanner.statistics.statistic import ANY

HALF = 0.5  # flip rate at which series of the curve are compared


@dataclass(frozen=True)
class Wording:
    """A verdict as a headline, what it means, and what to do next; `{target}` is the class."""

    headline: str
    means: str
    advice: tuple[str, ...]
    candidate: str  # what the suspected trigger is called


ALONE = "the weights alone, no photograph,"
AGAIN = "Scan again with another --seed: a planted trigger is found again at its place, a chance result is not."
TRY = "Apply the change below to photographs of other classes and count how often the model predicts {target}."

WORDINGS: dict[str, Wording] = {
    "backdoor-like": Wording(
        headline="{target} behaves like the target of a backdoor",
        means="It stands out as a class does in at most 1 of 100 models without a backdoor. That is strong evidence "
        f"and no proof: the scan used {ALONE} and no record of the training.",
        advice=(
            TRY,
            AGAIN,
            "Ask where the weights come from; until this is settled, do not use the model where somebody would gain "
            "from a wrong prediction.",
        ),
        candidate="Suspected trigger",
    ),
    "suspicious": Wording(
        headline="{target} stands out, though not enough to be sure",
        means="It stands out as a class does in at most 5 of 100 models without a backdoor: of twenty scans of "
        "harmless models, one is expected to give this verdict. It is a reason to look closer, not an accusation.",
        advice=(TRY, AGAIN, "Scan with a larger --budget, or calibrate on clean models like this one."),
        candidate="Suspected trigger",
    ),
    "natural weak spot": Wording(
        headline="{target} stands out, and an older version excused it",
        means="It is unusually easy to reach, but easy to leave as well, which was taken for a sign of classes that "
        "look alike. Measured since, the excuse held for backdoored models alone; no scan of today gives this verdict.",
        advice=("Scan again with this version.", TRY),
        candidate="What reaches it",
    ),
    "nothing found": Wording(
        headline="Nothing found, which does not mean clean",
        means="No class stands out further than classes of models without a backdoor do. A backdoor of a kind that is "
        "not searched for, or one made to evade this scan, would give the same result.",
        advice=(
            "Read what is not covered below, and whether the calibration covers this model.",
            "Where much depends on the model, scan with a larger --budget and another --seed.",
        ),
        candidate="The strongest candidate",
    ),
    "inconclusive": Wording(
        headline="Inconclusive: {target} stands out, and no clean models show how much that means",
        means="Among the classes of this model it is extreme, but the scan has no clean models of this kind to compare "
        "with. The more classes a model has, the more likely one of them is extreme by chance. This is no accusation.",
        advice=(
            "See the checks below for what the calibration does not cover.",
            TRY,
            "Calibrate on clean models like this one: phosphene calibrate DIR, then scan with --calibration.",
        ),
        candidate="The strongest candidate",
    ),
}

NO_ACCUSATION = "Every model has a strongest candidate; this one is shown for judgement, not as an accusation."

FAMILIES = {
    "patch": "replaces the pixels under the mask by the pattern",
    "additive": "adds the pattern to the whole image; grey stands for no change",
    "colour": "changes the colours of all pixels by one formula",
    "warp": "draws the image along a smooth field of displacements",
}

SERIES = {
    "trigger": "the candidate",
    "shuffled in place": "the same change with its pixels shuffled",
    "other classes": "changes found for other classes",
}

STABILITY = {
    "restarts": ("Independent starts", "long searches for the first suspect"),
    "agreement": ("Agreement", "mean cosine of the changes found: 1 where all are at the same place, near 0 by chance"),
    "easiness_deviation": ("Deviation", "standard deviation of how easily they reach it, in log size"),
    "log_size_deviation": ("Deviation", "standard deviation of the log size over the starts"),
}

COUNTED = ("restarts",)

ASYMMETRY = {
    "forward": ("Way in", "how much easier than the mean class it is to reach, in log size"),
    "backward": ("Way out", "how much easier than the mean class it is to leave, in log size"),
    "difference": ("In − out", "above zero: it is easier to reach than to leave; below zero says little"),
}

FRAMEWORKS = tuple((entry.catalogue, f"{entry.key} {entry.name}", entry.why) for entry in ENTRIES)

NO_CERTIFICATE = "A scan alone fulfils none of them: it is one piece of evidence among others."


def write_headline(scan: Scan) -> str:
    return WORDINGS[scan.verdict].headline.format(target=name_target(scan))


def write_meaning(scan: Scan) -> str:
    """What the verdict means, and what it rests on beside the weights."""
    means, given = WORDINGS[scan.verdict].means, []
    if scan.against is not None:
        given.append("those of a base")
    if scan.images is not None:
        given.append(f"{scan.images.count} pictures")
    return means.replace(ALONE, f"the weights, {' and '.join(given)},") if given else means


def list_advice(scan: Scan) -> list[str]:
    advice = [sentence.format(target=name_target(scan)) for sentence in WORDINGS[scan.verdict].advice]
    return [one.replace("a larger --budget", "--thorough") for one in advice] if CLEAR in scan.checks else advice


def name_target(scan: Scan) -> str:
    """The class of the verdict: “fox”."""
    return f"“{scan.target.name}”" if scan.target else "A class"


def explain_internal_p(classes: int) -> str:
    return (
        f"If none of the {classes} classes were a target, this is how often the most extreme of them would stand "
        f"out from the rest at least this far. It compares the model with itself alone; the number of classes is "
        f"part of the formula (one-sided Grubbs test)."
    )


def explain_external_p(p_external: float | None, calibration: Calibration) -> str:
    if p_external is None:
        return "Not used: the clean reference models do not cover this model, so the comparison would mean nothing."
    count = calibration.models
    above = p_external * (count + 1) - 1
    ranked = f"It is compared with {count} clean reference models."
    if abs(above - round(above)) < 1e-6:
        ranked = f"{round(above)} of {count} clean reference models score as high or higher."
    return (
        f"{ranked} If this one were clean and otherwise like them, it would rank so high this often. With {count} "
        f"models the value cannot fall below 1/{count + 1} = {1 / (count + 1):.2g}."
    )


def explain_own_classes(own: OwnClasses | None, classes: int, calibration: Calibration) -> str:
    if own is None and not calibration.outside:
        return "Not used: clean reference models speak for this model."
    if own is None:
        return (
            f"Not used: of the {classes} classes, those that can be compared are fewer than {MIN_CLASSES}, too few to "
            f"tell how far the most extreme of them should lie from the rest."
        )
    return (
        f"{own.classes} classes of this model are each other's controls. If none were a target, the first would lead "
        f"the second by so much this often, judged by the gaps between the {own.tail} highest. It assumes that "
        f"{own.assumes}."
    )


def explain_combined_p(p_external: float | None, own: OwnClasses | None = None, against: Against | None = None) -> str:
    tail = against is not None and against.method == "tail"
    if own is not None and tail:
        return (
            f"The smaller of that of the differences from the base, which are shown below, divided by {BASE_SHARE:g}, "
            f"and of the value by the model's own classes divided by {1 - BASE_SHARE:.1g}; so it is true however the "
            f"two depend on each other."
        )
    if p_external is None and tail:
        return "It combines the internal value and that of the differences from the base, which are shown below."
    if own is not None:
        return (
            "The value by the model's own classes alone counts. It accuses nobody: at 0.05 or less the verdict is "
            "inconclusive. No clean models like this one were there to compare with."
        )
    if p_external is None:
        return "The internal value alone decides. It assumes that the classes of a clean model scatter normally."
    return (
        f"The verdict rests on this value: the smaller of the external value divided by {EXTERNAL_SHARE:g} and the "
        f"internal one divided by {1 - EXTERNAL_SHARE:.1g}, because two tests have two chances of a false alarm. "
        f"Backdoor-like at 0.01 or less, suspicious at 0.05 or less."
    )


def format_size(trigger: Trigger) -> str:
    if trigger.family == "patch":
        return f"{trigger.size:.2%} of the area"
    return f"{trigger.size:.3g} root mean square"


def explain_curve(curve: Curve, target: Named) -> str:
    """Where each series of the curve first turns half of the images into the target."""
    parts = []
    for name, rates in curve.series.items():
        area = next((area for area, rate in zip(curve.areas, rates, strict=True) if rate >= HALF), None)
        place = "never" if area is None else f"at {100 * area:.3g}% of the area"
        parts.append(f"{place} with {SERIES.get(name, name)}")
    return f"Half of the images become “{target.name}” {'; '.join(parts)}."


def explain_stages(scan: Scan) -> str:
    """Whether every class went through every stage that is meant for all."""
    count = len(scan.classes)
    partial = [f"{stage.name} ({stage.classes})" for stage in scan.stages if stage.classes < count]
    if not partial:
        return f"All {count} classes went through every stage."
    return (
        f"All {count} classes went through every stage but these, which take the most suspicious ones or a "
        f"selection: {', '.join(partial)}."
    )


def describe_statistics() -> dict[str, tuple[str, str]]:
    """Label and meaning of every column of the classes; first those of one kind of trigger, then of any."""
    columns = [column for column in list_columns().values() if not column.whole]
    ordered = sorted(columns, key=lambda column: (not column.kinds, column.kinds == ANY))
    return {column.key: (column.label, column.means) for column in ordered}


def describe_absolutes() -> dict[str, tuple[str, str]]:
    """Label and meaning of every column of the model as a whole."""
    return {key: (column.label, column.means) for key, column in list_columns().items() if column.whole}


def order_statistics(present: Sequence[str]) -> list[str]:
    """Statistics in the order in which they are explained, then those that this version does not describe."""
    known = describe_statistics()
    return [*(name for name in known if name in present), *(name for name in present if name not in known)]
