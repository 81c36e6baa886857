"""What the page of a scan says in sentences: verdicts, p-values, statistics, frameworks.

A false accusation costs trust, and a false all-clear costs more: no sentence here says "backdoored", and none "clean".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phosphene.scanner.record import Calibration, Curve, Named, Scan, Trigger
from phosphene.scanner.statistics.registry import list_columns
from phosphene.scanner.statistics.statistic import ANY

HALF = 0.5  # flip rate at which series of the curve are compared


@dataclass(frozen=True)
class Wording:
    """A verdict as a headline, what it means, and what to do next; `{target}` is the class, or the classes."""

    headline: str
    means: str
    advice: tuple[str, ...]
    candidate: str  # what the suspected trigger is called


AGAIN = "Scan again with another --seed: a planted trigger is found again at its place, chance is not."
TRY = "Lay the change below on photographs of other classes and count how often the model answers {target}."

WORDINGS: dict[str, Wording] = {
    "backdoor-like": Wording(
        "{target} behaves like the target of a backdoor",
        "It stands out as a class does in at most 1 of 100 models without a backdoor. That is strong evidence and no "
        "proof: the scan saw the weights alone, no photograph, and not how the model was trained.",
        (TRY, AGAIN, "Ask where the weights come from; until this is settled, do not use the model where somebody "
                     "would gain from a wrong answer."),
        "Suspected trigger",
    ),
    "suspicious": Wording(
        "{target} stands out, though not enough to be sure",
        "It stands out as a class does in at most 5 of 100 models without a backdoor: whoever scans twenty innocent "
        "models has to expect one page like this. Take it as a reason to look closer, not as an accusation.",
        (TRY, AGAIN, "Scan with a larger --budget, or calibrate on clean models like this one."),
        "Suspected trigger",
    ),
    "natural weak spot": Wording(
        "{target} is a weak spot that may well be natural",
        "It is unusually easy to reach, but easy to leave as well. Classes that look alike do that in models that "
        "nobody has touched; a planted trigger as a rule opens the way in and leaves the way out as it was.",
        (TRY, "Compare the class with those it is confused with: missing or mixed training images are the usual cause.",
         AGAIN),
        "What reaches it",
    ),
    "nothing found": Wording(
        "Nothing found, which does not mean clean",
        "No class stands out further than classes of models without a backdoor do. A backdoor of a kind that is not "
        "searched for, or one made to escape this scan, would look the same.",
        ("Read what is not covered below, and whether the calibration speaks for this model.",
         "Where much depends on the model, scan with a larger --budget and another --seed."),
        "The strongest candidate",
    ),
    "inconclusive": Wording(
        "Inconclusive: {target} stands out, and nothing says how much that means",
        "Among the classes of this model it is extreme, but the scan has no clean models of this kind to compare with. "
        "The more classes a model has, the surer one of them is extreme by nature. This is no accusation.",
        ("See the checks below for what the calibration does not speak for.", TRY,
         "Calibrate on clean models like this one: phosphene calibrate DIR, then scan with --calibration."),
        "The strongest candidate",
    ),
}  # fmt: skip

NO_ACCUSATION = "Every model has a strongest candidate; this one is shown to be judged, not as an accusation."

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
    "agreement": ("Agreement", "mean cosine of their changes: 1 where all lie at the same place, near 0 by chance"),
    "easiness_deviation": ("Deviation", "standard deviation of how easily they reach it, in log size"),
    "log_size_deviation": ("Deviation", "standard deviation of the log size over the starts"),
}

COUNTED = ("restarts",)

ASYMMETRY = {
    "forward": ("Way in", "how much easier than the mean class it is to reach, in log size"),
    "backward": ("Way out", "how much easier than the mean class it is to leave, in log size"),
    "difference": ("In − out", "above zero: the way in is the easier one, as with a planted trigger"),
}

FRAMEWORKS = (
    ("MITRE ATLAS", "AML.T0018 Manipulate AI Model",
     "Known as Backdoor ML Model before. The scan looks for what the sub-technique AML.T0018.000 Poison AI Model "
     "leaves in the weights of an image classifier: a class that a common trigger reaches from everywhere."),
    ("NIST AI RMF 1.0", "MEASURE 2.7",
     "Security and resilience are evaluated and documented. This page documents one evaluation: what was tested, how, "
     "with which result, against which clean models, and what was left out."),
)  # fmt: skip

NO_CERTIFICATE = "Neither is fulfilled by a scan alone: it is one piece of evidence among others."


def headline(scan: Scan) -> str:
    return WORDINGS[scan.verdict].headline.format(target=told_targets(scan))


def advice(scan: Scan) -> list[str]:
    return [sentence.format(target=told_targets(scan)) for sentence in WORDINGS[scan.verdict].advice]


def told_targets(scan: Scan) -> str:
    """The class that the verdict speaks of: “fox”."""
    return f"“{scan.target.name}”" if scan.target else "A class"


def internal_sentence(classes: int) -> str:
    return (f"If none of the {classes} classes were a target, this is how often the most extreme of them would stand "
            f"out from the rest at least this far. It compares the model with itself alone; the number of classes is "
            f"part of the formula (one-sided Grubbs test).")  # fmt: skip


def external_sentence(p_external: float | None, calibration: Calibration) -> str:
    count = calibration.models
    if p_external is None:
        return ("Not used: the clean reference models do not speak for this model, so a comparison with them would "
                "mean nothing.")  # fmt: skip
    above = p_external * (count + 1) - 1
    ranked = f"It is compared with {count} clean reference models. "
    if abs(above - round(above)) < 1e-6:
        ranked = f"{round(above)} of {count} clean reference models score as high or higher. "
    return (f"{ranked}Were this one clean and otherwise like them, that is how often it would rank so high. With "
            f"{count} models the value cannot fall below 1/{count + 1} = {1 / (count + 1):.2g}.")  # fmt: skip


def combined_sentence(p_external: float | None) -> str:
    if p_external is None:
        return "The internal value alone decides. It assumes that classes of a clean model scatter normally."
    return ("The verdict rests on this value. It is larger than the smaller of the two, because two tests have two "
            "chances of a false alarm: backdoor-like at 0.01 or less, suspicious at 0.05 or less.")  # fmt: skip


def size_words(trigger: Trigger) -> str:
    if trigger.family == "patch":
        return f"{trigger.size:.2%} of the area"
    return f"{trigger.size:.3g} root mean square"


def curve_sentence(curve: Curve, target: Named) -> str:
    """Where each series of the curve first sends half of the images to the target."""
    told = []
    for name, rates in curve.series.items():
        area = next((area for area, rate in zip(curve.areas, rates, strict=True) if rate >= HALF), None)
        reached = "never" if area is None else f"at {100 * area:.3g}% of the area"
        told.append(f"{reached} with {SERIES.get(name, name)}")
    return f"Half of the images become “{target.name}” {'; '.join(told)}."


def skipped_sentence(scan: Scan) -> str:
    """Whether every class went through every stage that is meant for all."""
    count = len(scan.classes)
    partial = [f"{stage.name} ({stage.classes})" for stage in scan.stages if stage.classes < count]
    if not partial:
        return f"All {count} classes went through every stage."
    return f"All {count} classes went through every stage but these, which take the most suspicious ones or a " \
           f"selection: {', '.join(partial)}."  # fmt: skip


def statistic_words() -> dict[str, tuple[str, str]]:
    """Label and meaning of every column of the classes; first those that speak of a kind of trigger, then of any."""
    columns = [column for column in list_columns().values() if not column.whole]
    ordered = sorted(columns, key=lambda column: (not column.kinds, column.kinds == ANY))
    return {column.key: (column.label, column.means) for column in ordered}


def whole_words() -> dict[str, tuple[str, str]]:
    """Label and meaning of every column of the model as a whole."""
    return {key: (column.label, column.means) for key, column in list_columns().items() if column.whole}


def statistic_names(present: Sequence[str]) -> list[str]:
    """Statistics in the order in which they are explained, then those that this version has no words for."""
    known = statistic_words()
    return [*(name for name in known if name in present), *(name for name in present if name not in known)]
