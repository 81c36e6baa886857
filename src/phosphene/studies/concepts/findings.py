"""What study 3 found, as sentences; its page put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from phosphene.model.classifier import Classifier
from phosphene.model.outputs import ACTIVE
from phosphene.studies.concepts.cases import opinions, own_fidelity, raised, seconds, seen_as, unraised
from phosphene.studies.concepts.experiment import Findings, Settings, measured
from phosphene.studies.concepts.figures import drawn
from phosphene.studies.concepts.tables import tables
from phosphene.studies.folder import Study
from phosphene.studies.measures import estimated
from phosphene.studies.words import counted, listed, short


def run(
    settings: Settings, load: Callable[[str], Classifier], out: Path, told: Callable[[str], None], command: str
) -> Study:
    """Measure, resuming what is in `out`, and draw the figures there."""
    return findings(measured(settings, load, out, told), settings, out, command)


def findings(found: Findings, settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out` and put everything into words."""
    return Study(
        "concepts", "What can be asked, of which model, and when?",
        "The paper shows maps of many concepts on large models. Here are classes, sets, differences and channels on models "
        "of three sizes, the paper’s choices beside the default’s, and a network at every stage of its training.",
        answers(found, settings), drawn(found, out), tables(found), reading(found), asdict(settings), command,
    )  # fmt: skip


def answers(found: Findings, settings: Settings) -> list[str]:
    """One sentence a question."""
    return [_recognised(found), _sets_and_differences(found), _channels(found), _by_preset(found),
            *([_by_size(found)] if found.sizes else []), _by_training(found)]  # fmt: skip


def _recognised(found: Findings) -> str:
    seen = [opinion for one in found.large for opinion in opinions(one.maps["class"])]
    return (
        f"Pictures of {len(found.large[0].maps['class'])} classes by {len(found.large)} models, each judged by the others: the "
        f"class comes first in {counted(seen)}; of the small model, judged by another, in "
        f"{counted(opinions(found.small.maps['class']))}."
    )


def _sets_and_differences(found: Findings) -> str:
    gaps = [gap for one in found.asked for gap in one.gaps]
    without, with_map = (estimated([gap[key] for gap in gaps]) for key in ("without", "with_map"))
    return (
        f"Of sets the others put a member first in {counted([seen for one in found.asked for seen in opinions(one.maps['set'])])}. "
        f"Differences are raised in logits from {without} to {with_map}, and preferred the right way round by the others in "
        f"{counted([score > 0 for gap in gaps for score in gap['others']])}."
    )


def _channels(found: Findings) -> str:
    channels = [saliency for one in found.asked for saliency in one.maps["channel"]]
    return (
        f"{sum(raised(one) > unraised(one) for one in channels)} of {len(channels)} channels rise, to "
        f"{estimated([raised(one) for one in channels])} deviations of what noise gives; "
        f"{counted([raised(one) > ACTIVE for one in channels])} beyond what one draw of noise in a thousand reaches."
    )


def _by_preset(found: Findings) -> str:
    words = []
    for preset in ("paper", "default"):
        maps = [saliency for one in found.large for saliency in one.by_preset()[preset]]
        words.append(f"{preset} {estimated(own_fidelity(maps))} sure of its own map on fresh draws, recognised by the others in "
                     f"{counted(opinions(maps))}")  # fmt: skip
    return f"The same classes by both presets: {'; '.join(words)}."


def _by_size(found: Findings) -> str:
    same, different = (estimated([value for row in found.sizes for value in row[key]]) for key in ("same", "different"))
    return (
        f"From one size to another: to a model that made neither, maps of one class look {same} alike, of different classes "
        f"{different}."
    )


def _by_training(found: Findings) -> str:
    first, last = found.stages[0].numbers, found.stages[-1].numbers
    sure = [estimated(one[key]).mean for one in (first, last) for key in ("own", "probability")]
    return (
        f"At step {first['step']} of its training the small network is {sure[0]:.0%} sure of its own maps, and the trained one "
        f"{sure[1]:.0%}; at the end {sure[2]:.0%} and {sure[3]:.0%}."
    )


def reading(found: Findings) -> list[str]:
    """What to conclude, and what not; the verdicts follow the numbers."""
    by_size = ", ".join(f"{short(one.model)} {counted(opinions(one.maps['class']))} at {seconds(one.maps['class']):.1f} s a map"
                        for one in found.large)  # fmt: skip
    return [
        "One loop makes all of these: a class, a set, a difference and a channel are four ways to say what is to rise. A set’s "
        "map shows what its members share, which may be a texture rather than an animal, or the member that is easiest to show.",
        "A difference asks for nothing but being more one than the other, so its positive class need not come first, and its "
        f"probability is no measure of success: that is in the table of differences. {_elsewhere(found)}",
        f"The class comes first for the others, by the size of the model that made the map: {by_size}. The figure shows one seed; "
        f"how many things stand where changes with the seed as it does with the size.",
        "Shallow channels show what they detect at a glance. A deep channel is a mixture, and a picture that raises it is one way "
        f"to raise it, not its meaning. {_faint(found)}",
        _learned(found),
        "The paper’s preset follows the paper where its text decides (pixels, clipping, Gaussian noise, no views); its own numbers "
        "of iterations, samples and step are not known to us, so what it falls short of here need not be the paper’s.",
    ]  # fmt: skip


def _elsewhere(found: Findings) -> str:
    """Differences whose picture its own model calls a third thing."""
    away = sorted({f"{saliency.concept} ends in {seen_as(saliency)}" for one in found.large
                   for saliency in one.maps["difference"]
                   if saliency.scores.top5[0].index not in saliency.targets})  # fmt: skip
    return f"{'; '.join(away)}: what tells them apart is, to these models, largely a third thing." if away else ""


def _faint(found: Findings) -> str:
    faint = [f"{saliency.concept} of {short(one.model)}" for one in found.asked for saliency in one.maps["channel"]
             if raised(saliency) <= ACTIVE]  # fmt: skip
    return f"Hardly raised: {listed(faint)}." if faint else ""


def _learned(found: Findings) -> str:
    """When in training the maps become those of the end."""
    rows = [(part.numbers["step"], estimated(part.numbers["to_the_end"]["same"]).mean,
             estimated(part.numbers["to_the_end"]["different"]).mean, part.numbers["accuracy"])
            for part in found.stages]  # fmt: skip
    words = ", ".join(f"{same:.2f} at step {step} ({accuracy:.0%} right)" for step, same, _, accuracy in rows[:-1])
    return (
        f"Along training the maps become those of the end: to the trained network a sign’s map looks {words} like that of the end. "
        f"Maps of different signs are {rows[0][2]:.2f} alike at the start and {rows[-1][2]:.2f} at the end."
    )
