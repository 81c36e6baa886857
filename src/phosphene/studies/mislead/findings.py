"""What study 1 found, as sentences; its page put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from phosphene.model.sources.load import load
from phosphene.studies.folder import Study
from phosphene.studies.measures import estimated, estimated_effect
from phosphene.studies.mislead.cases import (  # fmt: skip
    ALL,
    after_shift,
    between,
    cases,
    excess,
    fooled,
    of_maps,
    photographs_of,
    ranked,
    shares,
)
from phosphene.studies.mislead.experiment import Findings, Settings, measured
from phosphene.studies.mislead.figures import drawn
from phosphene.studies.mislead.tables import tables
from phosphene.studies.words import AGNOSTIC, listed

STILL, ALIKE, APART = 0.99, 0.5, 0.3  # rank correlations that the reading calls unmoved, alike, different


def run(settings: Settings, out: Path, told: Callable[[str], None], command: str, photos: Path | None = None) -> Study:
    """Measure on every model, resuming what is in `out`, and draw the figures there."""
    models = [load(name) for name in settings.models]
    found = [measured(model, settings, out, photos, told, [other for other in models if other is not model])
             for model in models]  # fmt: skip
    return findings(found, settings, out, command)


def findings(found: Sequence[Findings], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out` and put everything into words."""
    return Study(
        "mislead", "Can an explanation of one input be misled?",
        "An imperceptible stamp makes each photograph be called something else. Asked why, do the methods that explain "
        "one input show the stamp, which is the cause, or the object of the photograph, which is not?",
        answers(found, settings), drawn(found, settings, out), tables(found, settings), reading(found, settings),
        asdict(settings), command,
    )  # fmt: skip


def answers(found: Sequence[Findings], settings: Settings) -> list[str]:
    """One sentence a question."""
    known = cases(found)
    return [_stamp_answer(found, settings), *([_object_answer(found), _map_answer(found)] if known else []),
            _class_answer(found, settings), _shift_answer(found, settings)]  # fmt: skip


def _stamp_answer(found: Sequence[Findings], settings: Settings) -> str:
    pairs = [pair for one in found for pair in one.pairs if pair["absent"]]
    return (
        f"A stamp of root mean square {settings.stamp:g}/255 (at least {min(pair['psnr'] for pair in pairs):.1f} dB; no value of a "
        f"pixel changes by more than {max(pair['largest'] for pair in pairs):.0f}/255) turned {len(fooled(found))} of {len(pairs)} "
        f"pairs of photograph and class into B."
    )


def _object_answer(found: Sequence[Findings]) -> str:
    pairs = cases(found)
    photographs = photographs_of(pairs)
    before, energy, effect = (
        excess(pairs, ALL, yardstick) for yardstick in ("own_inside", "cause_inside", "effect_inside")
    )
    return (
        f"Over all methods and models {estimated(shares(pairs, ALL)).mean:.0%} of the heat for B lies on A’s object, where "
        f"{estimated([pair['cause_inside'] for pair in pairs]).mean:.0%} of the stamp is: an excess of "
        f"{estimated(energy, photographs)}, d = {estimated_effect(energy, photographs)}. Before the stamp "
        f"{estimated(shares(pairs, ALL, 'own_inside')).mean:.0%} of the heat for A lay there, a change of "
        f"{estimated(before, photographs)}. Against what the stamp’s half on the object brings about "
        f"({estimated([pair['effect_inside'] for pair in pairs]).mean:.0%} of B’s gain) the excess is "
        f"{estimated(effect, photographs)}, d = {estimated_effect(effect, photographs)}."
    )


def _map_answer(found: Sequence[Findings]) -> str:
    pairs = cases(found)
    return (
        f"The input-agnostic maps of B were made without a photograph, so no stamp can move them: "
        f"{estimated(shares(pairs, AGNOSTIC)).mean:.0%} of their evidence lies where A’s object happens to be, which covers "
        f"{estimated([pair['area'] for pair in pairs]).mean:.0%} of the image."
    )


def _class_answer(found: Sequence[Findings], settings: Settings) -> str:
    heats = estimated([value for one in found for name in settings.methods for value in between(one, name)])
    alike, seeds = (estimated(of_maps(found, f"alike {key}")) for key in ("classes", "seeds"))
    tops = of_maps(found, "called")
    return (
        f"Heat maps of two absent classes on one photograph correlate by {heats}, input-agnostic maps of two classes by "
        f"{estimated(of_maps(found, 'classes'))}. Their pictures are called B in {sum(tops):.0f} of {len(tops)}; two classes look "
        f"{alike} alike to another model, two seeds of one class {seeds}."
    )


def _shift_answer(found: Sequence[Findings], settings: Settings) -> str:
    moved = {name: estimated([value for one in found for value in after_shift(one, name)]).mean
             for name in settings.methods}  # fmt: skip
    still = [name for name, value in moved.items() if value > STILL]
    rest = ", ".join(f"{name} {value:.2f}" for name, value in moved.items() if name not in still)
    tops = of_maps(found, "shifted_called")
    places = [estimated(of_maps(found, key)).mean for key in ("shift", "seeds")]
    looks = [estimated(of_maps(found, f"alike {key}")).mean for key in ("shift", "seeds")]
    return (f"A constant added and taken off again leaves {listed(still) or 'no method'} as they were"
            + (f" and moves {rest}" if rest else "")
            + f". Input-agnostic maps are made anew: {sum(tops):.0f} of {len(tops)} are still called B and look {looks[0]:.2f} "
            f"alike (two seeds {looks[1]:.2f}), but lie elsewhere ({places[0]:.2f}) as two seeds do anyway ({places[1]:.2f}).")  # fmt: skip


def reading(found: Sequence[Findings], settings: Settings) -> list[str]:
    """What to conclude, and what not; the verdicts on methods follow the numbers."""
    pairs = fooled(found)
    classes = {
        name: estimated([value for one in found for value in between(one, name)]).mean for name in settings.methods
    }
    alike = [name for name, value in classes.items() if value > ALIKE]
    apart = [name for name, value in classes.items() if value < APART]
    still = [name for name in settings.methods
             if estimated([value for one in found for value in after_shift(one, name)]).mean > STILL]  # fmt: skip
    unmoved = [name for name in settings.methods if pairs and ranked(pairs, name, "unmoved").mean > ALIKE]
    follows = [name for name in settings.methods if pairs and ranked(pairs, name, "follows_stamp").mean > APART]
    photographs = len({pair["photograph"] for one in found for pair in one.pairs})
    return [
        "The stamp is the only thing that differs between a photograph that is called A and one that is called B, so all of "
        "the change is its doing, and its energy is spread over the whole image. A heat map that lies on A’s object more "
        "than the stamp does tells its reader that the object is why the model says B.",
        "How misleading that is depends on the yardstick, and both stand in the table. Measured by the stamp’s energy, heat on the "
        "object is too much. Measured by what the stamp’s half on the object does to the logit of B (the effect: Shapley’s value "
        "of the two halves), pixels of the object matter more than their number, for a stamp works through what is already there. "
        + (_unseen(found) if cases(found) else "")
        + f"What needs no yardstick: {listed(unmoved) or 'none of the methods'} hardly changed when the answer did, and "
        f"{listed(follows) or 'none'} follow{'s' if len(follows) < 2 else ''} the stamp’s energy.",
        f"Where input-specific methods do well: {listed(apart) or 'none'} give different answers to different questions, and "
        f"{listed(still) or 'none'} do not care about the constant. {listed(alike) or 'None'} show nearly the same outline "
        f"whatever is asked.",
        "An input-agnostic map answers another question: what the model takes for B, wherever it may be. It names no place in this "
        "photograph, and cannot: it has never seen it. What it adds is an answer that the photograph cannot distort. Its importance "
        "map is no place to look for stability: two seeds put the same things in different places, which is why a second measure "
        "compares how the pictures look.",
        f"There are {photographs} photographs, and intervals resample whole photographs. The stamps were made on these: each is one "
        f"stamp for all of them, but need not work on another.",
    ]  # fmt: skip


def _unseen(found: Sequence[Findings]) -> str:
    """What of the excess needs no photograph at all: that of maps which have seen none."""
    pairs = cases(found)
    of_maps_, of_methods = (
        estimated(excess(pairs, name, "cause_inside"), photographs_of(pairs)) for name in (AGNOSTIC, ALL)
    )
    return (
        f"And maps of B that never saw a photograph lie on the object by an excess of {of_maps_} over the stamp’s energy, the "
        f"methods by {of_methods}: objects stand in the middle, where evidence is, so that much of an excess misleads nobody. "
    )
