"""What study 2 found, as sentences; its page put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from phosphene.studies.bias.cases import mean, misled, of_kind, rate_shown, shown_by, told_apart
from phosphene.studies.bias.experiment import KINDS, SETS, Settings, measured
from phosphene.studies.bias.explanations import BY_EXAMPLES, NAMES
from phosphene.studies.bias.figures import drawn
from phosphene.studies.bias.tables import tables
from phosphene.studies.folder import Part, Study
from phosphene.studies.measures import estimated
from phosphene.studies.words import AGNOSTIC, listed

APART = 0.9  # area under the ROC curve from which two kinds are said to be told apart


def run(
    settings: Settings, out: Path, told: Callable[[str], None], command: str, data_folder: Path | None = None
) -> Study:
    """Train and measure, resuming what is in `out`, and draw the figures there."""
    parts = measured(settings, out, data_folder, told)
    return findings(parts, settings, out, command)


def findings(parts: Sequence[Part], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out` and put everything into words."""
    return Study(
        "bias", "Is an explanation by examples biased by its examples?",
        "A watermark stands in what a model was trained on, or in the examples it is explained by, or in neither. Who "
        "shows it when the model uses it, and who invents it when the model does not?",
        answers(parts), drawn(parts, out), tables(parts), reading(parts), asdict(settings), command,
    )  # fmt: skip


def answers(parts: Sequence[Part]) -> list[str]:
    """One sentence a question."""
    used, ignored = (of_kind(parts, kind) for kind in KINDS)
    called = estimated([part.numbers["fooled_by_mark"] for part in used])
    without, carrying = (estimated([part.numbers[f"own_{held}"] for part in used]) for held in ("clean", "marked"))
    shown = ", ".join(f"{name} for {shown_by(used, name, 'clean')}" for name in NAMES)
    invented = ", ".join(f"{name} for {shown_by(ignored, name, 'watermarked')}" for name in NAMES)
    apart = ", ".join(f"{name} {misled(parts, name)}" for name in NAMES)
    return [
        f"{len(used)} models use the watermark: they call {without.mean:.0%} of the class’s images so without it and "
        f"{carrying.mean:.0%} with it, and {called.mean:.0%} of the images of other classes; {len(ignored)} models ignore "
        f"it (it makes {estimated([p.numbers['fooled_by_mark'] for p in ignored]).mean:.1%} of other images the class).",
        f"The model uses it, the examples are clean: the watermark is shown by {shown}.",
        f"The model ignores it, the examples carry it: the watermark is invented by {invented}.",
        f"Told apart under the misleading sets (area under the ROC curve, 0.5: not at all, 0: the wrong way round): {apart}.",
    ]


def reading(parts: Sequence[Part]) -> list[str]:
    """What to conclude, and what not; the verdicts follow the numbers."""
    used, ignored = (of_kind(parts, kind) for kind in KINDS)
    hides = [name for name in BY_EXAMPLES if rate_shown(used, name, "clean") < 0.5]
    invents = [name for name in BY_EXAMPLES if rate_shown(ignored, name, "watermarked") >= 0.5]
    honest = [name for name in BY_EXAMPLES if name not in invents]
    often = ", ".join(f"{name} for {shown_by(ignored, name, 'watermarked')} models" for name in honest)
    sharper = [name for name in honest if mean(used, name, "watermarked") > mean(used, AGNOSTIC, "clean")]
    fair = [name for name in BY_EXAMPLES if all(told_apart(parts, name, held, held).mean > APART for held in SETS)]
    return [
        "An explanation of the model should show the watermark exactly when the model uses it. The example set is "
        "somebody’s choice; here it is chosen once well and once badly, and the models are the same.",
        f"A clean set hides what the model uses from {listed(hides) or 'none of the explanations by examples'}. A "
        f"watermarked set makes {listed(invents) or 'none of them'} show it for models that ignore it. CAV and "
        f"most-activating images show what is in the examples: that is what they are made for, a direction and an example, "
        f"and the mistake is only to read them as what the model goes by.",
        f"Where explanations by examples do well: the watermark was invented by {often or 'all'}. The gradient of Integrated "
        f"Gradients is the model’s own, so what the model ignores hardly shows; but they cannot show what no example holds."
        + (f" With the right examples {listed(sharper)} put more of the heat on the watermark than the map does." if sharper else "")
        + (f" With one and the same set for both kinds of model, whichever it is, {listed(fair)} tell them apart, though "
           f"without a model to compare with nobody would see it." if fair else ""),
        f"The input-agnostic map is the same whatever the set. It shows the watermark of {shown_by(used, AGNOSTIC, 'clean')} "
        f"models that use it and of {shown_by(ignored, AGNOSTIC, 'clean')} that ignore it. It is made without views here, "
        f"because it is asked about one place, and so looks rougher than the method’s usual pictures.",
    ]  # fmt: skip
