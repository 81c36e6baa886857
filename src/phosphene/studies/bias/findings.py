"""The sentences and the page of study 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from phosphene.studies.bias.cases import (
    estimate_misled_separation,
    estimate_separation,
    format_shown,
    mean_heat,
    measure_rate_shown,
    select_kind,
)
from phosphene.studies.bias.experiment import KINDS, SETS, Settings, measure
from phosphene.studies.bias.explanations import BY_EXAMPLES, NAMES
from phosphene.studies.bias.figures import draw_figures
from phosphene.studies.bias.tables import build_tables
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Part, Study
from phosphene.studies.words import AGNOSTIC, join_names

APART = 0.9  # area under the ROC curve from which two kinds count as separated


def run(
    settings: Settings,
    out: Path,
    on_progress: Callable[[str], None],
    command: str,
    data_folder: Path | None = None,
) -> Study:
    """Train and measure, resuming from the parts in `out`, and draw the figures there."""
    parts = measure(settings, out, data_folder, on_progress)
    return build_study(parts, settings, out, command)


def build_study(parts: Sequence[Part], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out`, and write tables and sentences."""
    return Study(
        name="bias",
        title="Is an explanation by examples biased by its examples?",
        question="A watermark is in the training images of a model, or in the examples that explain it, or in neither. Which explanations "
        "show it when the model uses it, and which invent it when the model does not?",
        answers=write_answers(parts),
        figures=draw_figures(parts, out),
        tables=build_tables(parts),
        reading=write_reading(parts),
        settings=asdict(settings),
        command=command,
    )


def write_answers(parts: Sequence[Part]) -> list[str]:
    """One sentence a question."""
    users, others = (select_kind(parts, kind) for kind in KINDS)
    shown = ", ".join(f"{name} for {format_shown(users, name, 'clean')}" for name in NAMES)
    invented = ", ".join(f"{name} for {format_shown(others, name, 'watermarked')}" for name in NAMES)
    apart = ", ".join(f"{name} {estimate_misled_separation(parts, name)}" for name in NAMES)
    return [
        _describe_models(users, others),
        f"The model uses it, the examples are clean: the watermark is shown by {shown}.",
        f"The model ignores it, the examples carry it: the watermark is invented by {invented}.",
        f"Separation of the two kinds under the misleading sets (area under the ROC curve, 0.5: none, 0: the wrong way round): {apart}.",
    ]


def _describe_models(users: Sequence[Part], others: Sequence[Part]) -> str:
    without, carrying = (_mean(users, key) for key in ("own_clean", "own_marked"))
    return (
        f"{len(users)} models use the watermark: they predict the class for {without:.0%} of its images without it and {carrying:.0%} "
        f"with it, and for {_mean(users, 'fooled_by_mark'):.0%} of the images of other classes with it; {len(others)} models ignore it "
        f"(with it they predict the class for {_mean(others, 'fooled_by_mark'):.1%} of other images)."
    )


def _mean(parts: Sequence[Part], key: str) -> float:
    return estimate_mean([part.numbers[key] for part in parts]).mean


def write_reading(parts: Sequence[Part]) -> list[str]:
    """What follows, and what does not; the verdicts depend on the numbers."""
    return [
        "An explanation of the model should show the watermark exactly when the model uses it. Somebody has to choose the example set; "
        "here it is chosen once well and once badly, for the same models.",
        _write_weaknesses(parts),
        _write_strengths(parts),
        _write_agnostic(parts),
    ]


def _write_weaknesses(parts: Sequence[Part]) -> str:
    users, _ = (select_kind(parts, kind) for kind in KINDS)
    hides = [name for name in BY_EXAMPLES if measure_rate_shown(users, name, "clean") < 0.5]
    return (
        f"With a clean set the watermark that the model uses is hidden from {join_names(hides, 'none of the explanations by examples')}. "
        f"With a watermarked set {join_names(_list_inventors(parts), 'none of them')} show it for models that ignore it. CAV and "
        f"most-activating images show what is in the examples, as they are meant to: a direction and an example. The mistake is only to "
        f"interpret them as what the model uses."
    )


def _list_inventors(parts: Sequence[Part]) -> list[str]:
    """Explanations that show the watermark for most models that ignore it."""
    others = select_kind(parts, "ignores")
    return [name for name in BY_EXAMPLES if measure_rate_shown(others, name, "watermarked") >= 0.5]


def _write_strengths(parts: Sequence[Part]) -> str:
    users, others = (select_kind(parts, kind) for kind in KINDS)
    honest = [name for name in BY_EXAMPLES if name not in _list_inventors(parts)]
    counts = ", ".join(f"{name} for {format_shown(others, name, 'watermarked')} models" for name in honest)
    sharper = [name for name in honest if mean_heat(users, name, "watermarked") > mean_heat(users, AGNOSTIC, "clean")]
    fair = [
        name for name in BY_EXAMPLES if all(estimate_separation(parts, name, one, one).mean > APART for one in SETS)
    ]
    sentences = [
        f"Where explanations by examples do well: the watermark was invented by {counts or 'all'}. The gradient of Integrated Gradients is "
        f"the model’s own, so what the model ignores hardly appears; but they cannot show what no example contains."
    ]
    if sharper:
        sentences.append(
            f"With the right examples {join_names(sharper)} put more of the heat on the watermark than the map does."
        )
    if fair:
        sentences.append(
            f"With the same set for both kinds of model, whichever it is, {join_names(fair)} separate them, though this needs a model of the "
            f"other kind for comparison."
        )
    return " ".join(sentences)


def _write_agnostic(parts: Sequence[Part]) -> str:
    users, others = (select_kind(parts, kind) for kind in KINDS)
    return (
        f"The input-agnostic map is the same whatever the set. It shows the watermark of {format_shown(users, AGNOSTIC, 'clean')} models that "
        f"use it and of {format_shown(others, AGNOSTIC, 'clean')} that ignore it. It is computed without views here, because one place is "
        f"measured, and so looks rougher than the method’s usual pictures."
    )
