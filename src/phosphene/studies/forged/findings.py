"""The sentences and the page of study 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Part, Study
from phosphene.studies.forged.cases import (
    ASKINGS,
    Verdict,
    choose_check,
    estimate_power,
    find_suspect,
    list_correlations,
    list_forged,
    select,
    succeeds,
)
from phosphene.studies.forged.experiment import Settings, measure
from phosphene.studies.forged.figures import draw_figures
from phosphene.studies.forged.tables import build_tables
from phosphene.studies.words import format_hits, format_percent, join_names


def run(
    settings: Settings,
    out: Path,
    on_progress: Callable[[str], None],
    command: str,
    data_folder: Path | None = None,
) -> Study:
    """Train, forge and ask, resuming from the parts in `out`, and draw the figures there."""
    parts = measure(settings, out, data_folder, on_progress)
    return build_study(parts, settings, out, command)


def build_study(parts: Sequence[Part], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out`, and write tables and sentences."""
    verdict = choose_check(parts)
    return Study(
        name="forged",
        title="Can the picture be forged?",
        question="A network is fine-tuned so that it predicts as before while the map of one class shows a picture of the forger’s choice. "
        "Does the picture stand when the class is asked for in other ways, and does that give the forgery away?",
        answers=write_answers(parts, verdict),
        figures=draw_figures(parts, verdict, out),
        tables=build_tables(parts, verdict),
        reading=write_reading(parts, verdict),
        settings=asdict(settings),
        command=command,
    )


def write_answers(parts: Sequence[Part], verdict: Verdict) -> list[str]:
    """One sentence a question."""
    tried, forged, honest = list_forged(parts), select(parts, False, True), select(parts, False, False)
    found = [find_suspect(part, verdict.check) == part.numbers["plan"]["victim"] for part in forged]
    return [
        f"The map can be forged: in {format_hits([succeeds(part) for part in tried])} networks the default’s map shows the chosen picture "
        f"rather than the one it showed before, while the network predicts as before for "
        f"{format_percent(estimate_mean([part.numbers['agreement'] for part in tried]))} of held-out images.",
        _write_askings(forged),
        f"The check “{verdict.check}” raises an alarm for {format_hits(verdict.alarms(forged))} forged networks and for "
        f"{format_hits(verdict.alarms(honest))} honest ones (area under the ROC curve {estimate_power(parts, verdict.check)}); the forged "
        f"class is the most doubtful one in {format_hits(found)}. It uses no data and not the network as it was.",
    ]


def _write_askings(forged: Sequence[Part]) -> str:
    """Which ways of asking still show the chosen picture."""
    if not forged:
        return "No forgery succeeded, so nothing can be said about other ways of asking."
    shown, kept = (
        [name for number, name in enumerate(ASKINGS) if _is_fooled(forged, number) == fooled]
        for fooled in (True, False)
    )
    return (
        f"On average the picture is nearer to the chosen one than to the one before when asked by {join_names(shown)}, and nearer to the "
        f"one before by {join_names(kept)}."
    )


def _is_fooled(forged: Sequence[Part], number: int) -> bool:
    target, truth = (
        estimate_mean([list_correlations(part, picture)[number] for part in forged]).mean
        for picture in ("target", "honest")
    )
    return target > truth


def write_reading(parts: Sequence[Part], verdict: Verdict) -> list[str]:
    """What follows, and what does not."""
    honest = select(parts, True, False)
    return [
        "A map promises what its numbers say: that this network, as it is, gives the class to samples that carry the picture. It does not "
        "promise that the picture is what decides on photographs. Of a network from somebody who has a reason to deceive, a picture "
        "alone proves nothing.",
        "A forged network must predict as before on real images, so it is bent only where maps are made. Who asks in ways that the forger "
        "did not prepare for gets other pictures; that is what the check measures. A forger who prepares for more ways has to bend more "
        "of the network, and can be met with ways that he does not know: other noises, seeds, sizes and compositions cost nothing.",
        f"The bound was set by {len(honest)} honest networks of development, which is few; a rate of false alarms for other kinds of "
        f"networks is not promised. Networks here are small. Where a class has two very different looks, its pictures may disagree "
        f"without any forgery.",
    ]
